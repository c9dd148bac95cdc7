"""What a request cannot ask for; each check tells it in one line before anything is written."""

from collections.abc import Sequence
from pathlib import Path

from acclimate import methods, plugins
from acclimate.data import Domain
from acclimate.errors import BadInput, did_you_mean
from acclimate.methods import selfsup, shallow
from acclimate.recipe import LARGEST_SEED, MOST_SEEDS, Task, Training, require_classes
from acclimate.runs.run import Run
from acclimate.workflows.options import Request, SharedOptions

LARGEST_IMAGE = 4096
"""Pixels a side."""


def check_request(request: SharedOptions, output: str | Path | None, *, resume: bool) -> None:
    """Refuse what needs no look at the data, before any of it is read.

    Raises:
        BadInput: An option that cannot be.
    """
    if output == "":
        raise BadInput("-o: the path is empty; give a folder for the Run")
    if output and Path(output).exists() and not resume:
        raise BadInput(f"{output}: exists already; continue it with --resume, or choose another -o")
    if output and Path(output).exists() and not Path(output).is_dir():
        raise BadInput(f"{output}: is a file, and a Run is a folder; choose another -o")
    _check_seeds(request.seeds)
    if request.image_size is not None and request.image_size < 16:
        raise BadInput(f"--image-size: {request.image_size} is too small for any backbone; use 16 or more")
    if request.image_size is not None and request.image_size > LARGEST_IMAGE:
        raise BadInput(f"--image-size: {request.image_size} is too large; use {LARGEST_IMAGE} or less")
    if request.devices < 1:
        raise BadInput(f"--devices: {request.devices} is too few; use at least one")


def _check_seeds(seeds: int | Sequence[int]) -> None:
    if isinstance(seeds, int) and seeds < 1:
        raise BadInput(f"--seeds: {seeds} is too few; train at least one")
    if (seeds if isinstance(seeds, int) else len(seeds)) > MOST_SEEDS:
        raise BadInput(f"--seeds: too many; train at most {MOST_SEEDS}")
    if isinstance(seeds, int):
        return
    if not seeds or min(seeds) < 0 or max(seeds) > LARGEST_SEED or len(set(seeds)) < len(seeds):
        raise BadInput(f"--seeds: {tuple(seeds)} cannot be used; give different whole numbers from 0 to {LARGEST_SEED}")


def is_same(given: object, other: object) -> bool:
    """Whether two domains are one, as far as what was given tells: the same path, or the same object."""
    if isinstance(given, str | Path) and isinstance(other, str | Path):
        return Path(given) == Path(other)
    return given is not None and given is other


def check_unseen(scored: object, learnt: object, what: str) -> None:
    """Refuse to score on the very examples whose labels are learnt from."""
    if is_same(scored, learnt):
        raise BadInput(f"--score: is {what}, whose labels are learnt from; omit it or give other examples")


def check_name(method: str) -> None:
    """Refuse an unknown method, or one that adapts nothing by itself."""
    if method in selfsup.names():
        raise BadInput(f"method {method} learns features, not labels; use --pretrain {method} with another --method")
    if plugins.is_spec(method):
        methods.get(method)
        return
    known = [*methods.names(), *shallow.names()]
    if method not in known:
        raise BadInput(f"no method {method!r}; {did_you_mean(method, known)}")


def check_task(method: str, task: Task) -> None:
    """Refuse a method that cannot learn what the labels are."""
    if method not in shallow.names() and task not in methods.get(method).tasks:
        able = [name for name in methods.names() if task in methods.get(name).tasks] + shallow.names()
        what = "classes, and these labels are numbers" if task == "regression" else "numbers, and these are classes"
        raise BadInput(f"method {method} learns {what}; use one of {', '.join(able)}")


def check_balance(training: Training, task: Task) -> None:
    """Refuse to balance numbers."""
    if training.balance != "none":
        require_classes(task, "train.balance")


def check_target_share(training: Training, method: str, labelled: Domain | None) -> None:
    """Refuse a share of batches for labelled target rows where there are none, or no room for them."""
    mixed = labelled is not None and "source" in methods.get(method).needs
    if "target_share" in training.model_fields_set and not mixed:
        raise BadInput(
            "train.target_share: applies where source and labelled target share a batch; add --target-labels to a "
            "method that learns from both, or omit it"
        )
    if mixed and training.batch_size < 2:
        raise BadInput("train.batch_size=1: source and labelled target share a batch; use 2 or more")


def check_views(method: str, source: Domain) -> None:
    """Refuse a method that learns from views of its inputs where there are none: for images with texts."""
    if source.kind == "image and text" and method not in shallow.names() and methods.get(method).looks_at_inputs:
        able = [name for name in methods.names() if not methods.get(name).looks_at_inputs]
        raise BadInput(
            f"method {method} learns from views of its inputs, and images with texts have none; "
            f"use one of {', '.join(able)}"
        )


def check_source_free(origin: Run, method: str, request: Request) -> None:
    """Refuse a method that needs the source where a Run is given in its place, and options that the Run has fixed."""
    able = [name for name in methods.names() if methods.get(name).starts_from and methods.get(name).needs == {"target"}]
    check_name(method)
    if method not in able:
        raise BadInput(
            f"method {method} learns from examples of the source, and {origin.path} is a Run, which holds none; "
            f"give the source itself, or use one of {', '.join(able)}"
        )
    fixed = ("label", "text", "image", "drop", "pretrain", "weights", "image_size", "target_labels")
    given = {name: getattr(request, name) for name in fixed}
    given |= {"backbone": request.backbone != "auto", "task": request.task != "auto"}
    for name, value in given.items():
        if value:
            flag = name.replace("_", "-")
            raise BadInput(f"--{flag}: is fixed by the Run {origin.path}; omit it")


def seeds_of(origin: Run, wanted: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds that are wanted, if the Run has models of them.

    Raises:
        BadInput: It has not.
    """
    known = origin.recipe.seeds
    seeds = known[:wanted] if isinstance(wanted, int) else tuple(wanted)
    if (isinstance(wanted, int) and wanted > len(known)) or not set(seeds) <= set(known):
        raise BadInput(f"--seeds: {origin.path} has models of the seeds {', '.join(map(str, known))} only")
    return seeds
