"""What a request cannot ask for; each check tells it in one line before anything is written."""

from collections.abc import Sequence
from pathlib import Path

from acclimate import methods
from acclimate.data import Domain, place_of
from acclimate.errors import BadInput
from acclimate.methods import shallow
from acclimate.recipe import ScoredOn, Task, Training, require_classes
from acclimate.runs.run import Run
from acclimate.workflows.early import check_method
from acclimate.workflows.options import Request


def is_same(given: object, other: object) -> bool:
    """Whether two domains are one, as far as what was given tells: the same path, however spelt, or the same object."""
    if isinstance(given, str | Path) and isinstance(other, str | Path):
        return place_of(str(given)) == place_of(str(other))
    return given is not None and given is other


def check_unseen(scored: object, learnt: object, what: str, *, flag: str = "--score") -> None:
    """Refuse to score or audit on the very examples whose labels are learnt from."""
    if is_same(scored, learnt):
        raise BadInput(f"{flag}: is {what}, whose labels are learnt from; omit it or give other examples")


def check_not_source(origin: Run, scored: ScoredOn | None, *, flag: str = "--score") -> None:
    """Refuse to score or audit on the source of a Run, whose models learnt its labels."""
    learnt = {origin.recipe.digests.get("source"), *(one.digest for one in origin.recipe.sources)}
    if scored and scored.digest in learnt:
        raise BadInput(f"{flag}: is the source of {origin.path}, whose labels are learnt from; give other examples")


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
    check_method(method)
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
