"""What is asked for beside the two domains, and what of it cannot be, whatever else there is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acclimate import methods
from acclimate.data import Domain
from acclimate.errors import BadInput, did_you_mean
from acclimate.methods import selfsup, shallow
from acclimate.recipe import Task, Training
from acclimate.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for beside the two domains: the arguments of `acclimate.adapt`, by their names."""

    method: str = "auto"
    pretrain: str | None = None
    finetune: str = "auto"
    backbone: str = "auto"
    steps: int | None = None
    seeds: int | Sequence[int] = 1
    label: str | None = None
    text: str | None = None
    image: str | None = None
    drop: Sequence[str] = ()
    task: str = "auto"
    settings: Mapping[str, Any] | None = None
    weights: str | None = None
    image_size: int | None = None
    precision: str | None = None
    augment: str | None = None
    score: Any = None
    positive: Sequence[str] = ()
    tta: Sequence[str] = ()
    target_labels: Any = None
    devices: int = 1


def check_request(
    output: str | Path | None, seeds: int | Sequence[int], image_size: int | None, devices: int, resume: bool
) -> None:
    """Refuse what needs no look at the data, before any of it is read.

    Raises:
        BadInput: An argument that cannot be.
    """
    if output == "":
        raise BadInput("-o: an empty text is no folder; give one for the Run")
    if output and Path(output).exists() and not resume:
        raise BadInput(f"{output}: exists already; go on with it by --resume, or choose another -o")
    if output and Path(output).exists() and not Path(output).is_dir():
        raise BadInput(f"{output}: is a file, and a Run is a folder; choose another -o")
    if isinstance(seeds, int) and seeds < 1:
        raise BadInput(f"seeds: {seeds} is too few; at least one is needed")
    if not isinstance(seeds, int) and (not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds)):
        raise BadInput(f"seeds: {tuple(seeds)} will not do; give different whole numbers from 0 on")
    if image_size is not None and image_size < 16:
        raise BadInput(f"image size {image_size}: too small for any backbone here; use --image-size 16 or more")
    if devices < 1:
        raise BadInput(f"devices: {devices} is too few; at least one is needed")


def is_same(given: Any, other: Any) -> bool:
    """Whether two domains are one, as far as what was given tells: the same path, or the same object."""
    if isinstance(given, str | Path) and isinstance(other, str | Path):
        return Path(given) == Path(other)
    return given is not None and given is other


def check_unseen(scored: Any, learnt: Any, what: str) -> None:
    """Refuse to score on the very examples whose labels are learnt from."""
    if is_same(scored, learnt):
        raise BadInput(f"--score: is {what}, whose labels are learnt from; leave it out or give another")


def check_name(method: str) -> None:
    """Refuse a method that there is not, or that adapts nothing by itself."""
    if method in selfsup.names():
        raise BadInput(f"method {method} learns features, no labels; use --pretrain {method} before another --method")
    every = [*methods.names(), *shallow.names()]
    if method not in every:
        raise BadInput(f"no method {method!r}; {did_you_mean(method, every)}")


def check_task(method: str, task: Task) -> None:
    """Refuse a method that cannot learn what the labels are."""
    if method in methods.names() and task not in methods.get(method).tasks:
        can = [name for name in methods.names() if task in methods.get(name).tasks] + shallow.names()
        raise BadInput(f"method {method} is for classes, and this is a regression; those that can are {', '.join(can)}")


def check_balance(training: Training, task: Task) -> None:
    """Refuse to balance numbers."""
    if training.balance != "none" and task == "regression":
        raise BadInput("train.balance: is for classes, and this is a regression; leave it out")


def check_share(training: Training, method: str, labelled: Domain | None) -> None:
    """Refuse to say, or to need, a share of batches that two kinds of labelled rows cannot have."""
    mixed = labelled is not None and "source" in methods.get(method).needs
    if "target_share" in training.model_fields_set and not mixed:
        raise BadInput(
            "train.target_share: is of batches that source and labelled target share; give --target-labels to a "
            "method that learns from both, or leave it out"
        )
    if mixed and training.batch_size < 2:
        raise BadInput("train.batch_size=1: source and labelled target share a batch; give 2 or more")


def check_views(method: str, here: Domain) -> None:
    """Refuse a method that learns from views of its inputs where there are none: of images and texts together."""
    if here.kind == "image and text" and method in methods.names() and methods.get(method).looks_at_inputs:
        fit = [name for name in methods.names() if not methods.get(name).looks_at_inputs]
        raise BadInput(
            f"method {method} learns from views of its inputs, and images with texts have none; "
            f"take another: {', '.join(fit)}"
        )


def check_source_free(origin: Run, method: str, asked: Request) -> None:
    """Refuse a method that needs the source where a Run stands in its place, and what that Run has settled."""
    fit = [name for name in methods.names() if methods.get(name).starts_from and methods.get(name).needs == {"target"}]
    check_name(method)
    if method not in fit:
        raise BadInput(
            f"method {method} learns from examples of the source, and {origin.path} is a Run, which holds none; "
            f"give the source itself, or take a method that needs none: {', '.join(fit)}"
        )
    settled = ("label", "text", "image", "drop", "pretrain", "weights", "image_size", "target_labels")
    given = {name: getattr(asked, name) for name in settled}
    given |= {"backbone": asked.backbone != "auto", "task": asked.task != "auto"}
    for name, value in given.items():
        if value:
            flag = name.replace("_", "-")
            raise BadInput(f"--{flag}: {origin.path} is a Run and has settled it; leave --{flag} out")


def seeds_of(origin: Run, asked: int | Sequence[int]) -> tuple[int, ...]:
    """Those that are asked for, if the Run has models of them.

    Raises:
        BadInput: It has not.
    """
    there = origin.recipe.seeds
    seeds = there[:asked] if isinstance(asked, int) else tuple(asked)
    if (isinstance(asked, int) and asked > len(there)) or not set(seeds) <= set(there):
        raise BadInput(f"seeds: {origin.path} has models of the seeds {', '.join(map(str, there))} and of no other")
    return seeds
