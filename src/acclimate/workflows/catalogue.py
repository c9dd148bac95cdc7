"""All that can be named in a command, with what it needs and when to use it; read from the code, not imported."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import acclimate
from acclimate import backbones, finetune, methods
from acclimate.docstrings import Definition, describe, read_function, read_keys
from acclimate.methods import selfsup, shallow, testtime
from acclimate.methods.registry import MethodSummary

PACKAGE = Path(acclimate.__file__).parent
LABEL_SHIFT = PACKAGE / "shift" / "label_shift.py"


class Named(TypedDict):
    """Something that can be named.

    Attributes:
        name: As the option takes it.
        flag: The option.
        does: What it does, in a sentence.
        when: When to use it, in a sentence; may be empty.
        needs: What it learns from: ``source``, ``target``, ``target_labels``, a ``run``.
        numbers: Whether it takes numbers as labels, too.
        options: Defaults by name, as they are written.
        family: A method's folder; empty for all others.
    """

    name: str
    flag: str
    does: str
    when: str
    needs: Sequence[str]
    numbers: bool
    options: dict[str, str]
    family: str


class Group(NamedTuple):
    """What one option takes.

    Attributes:
        flag: The option, with its command.
        usage: How it is used.
        names: Lists the names.
        named: Describes one.
    """

    flag: str
    usage: str
    names: Callable[[], list[str]]
    named: Callable[[str], Named]


def _of_registry(flag: str, summary: Callable[[str], MethodSummary]) -> Callable[[str], Named]:
    def named(name: str) -> Named:
        about = summary(name)
        return {
            "name": name, "flag": flag, "does": about["does"], "when": about["when"], "needs": about["needs"],
            "numbers": about["numbers"], "options": about["options"], "family": about["family"],
        }  # fmt: skip

    return named


def _of_function(
    flag: str, needs: Sequence[str], find: Callable[[str], Definition], *, numbers: bool
) -> Callable[[str], Named]:
    def named(name: str) -> Named:
        about = describe(find(name))
        return {
            "name": name, "flag": flag, "does": about.does, "when": about.when, "needs": needs, "numbers": numbers,
            "options": about.options, "family": "",
        }  # fmt: skip

    return named


def _strategy(name: str) -> Definition:
    return read_function(PACKAGE / "finetune" / f"{name}.py", "paces")


def _estimator(name: str) -> Definition:
    return read_function(LABEL_SHIFT, name)


def label_shift_names() -> list[str]:
    """Names of the estimators of label shift."""
    return sorted(read_keys(LABEL_SHIFT, "ESTIMATORS"))


GROUPS = (
    Group("--method", "acclimate adapt --method NAME", methods.names, _of_registry("--method", methods.summary)),
    Group(
        "--method",
        "acclimate adapt --method NAME, with a linear model; acclimate.sklearn.Adapter(method=NAME) in Python",
        shallow.names,
        _of_registry("--method", shallow.summary),
    ),
    Group(
        "--pretrain",
        "acclimate adapt --pretrain NAME, to pretrain for any --method",
        selfsup.names,
        _of_registry("--pretrain", selfsup.summary),
    ),
    Group(
        "--finetune",
        "acclimate adapt --finetune NAME, with any --method that trains a network",
        finetune.names,
        _of_function("--finetune", ("source",), _strategy, numbers=True),
    ),
    Group(
        "--test-time",
        "acclimate predict --test-time NAME",
        testtime.names,
        _of_registry("predict --test-time", testtime.summary),
    ),
    Group(
        "--label-shift",
        "acclimate predict --label-shift NAME",
        label_shift_names,
        _of_function("predict --label-shift", ("run", "target"), _estimator, numbers=False),
    ),
)
"""In the order of a project: what is minimised, what comes before, which weights move, what comes after."""


def catalogue() -> Iterator[tuple[Group, list[Named]]]:
    """Yield all that can be named, group by group."""
    for group in GROUPS:
        yield group, [group.named(name) for name in group.names()]


def names_for(flag: str) -> list[str]:
    """The names that an option takes, e.g. ``--method``.

    Example:
        >>> names_for("--test-time")
        ['adabn', 'lame', 'tent']
    """
    if flag == "--backbone":
        return ["auto", "linear", *backbones.names()]
    usual = ["auto"] if flag in {"--method", "--finetune"} else []
    return usual + sorted(name for group in GROUPS if group.flag == flag for name in group.names())


def flag_of(name: str) -> str:
    """The option that takes a name, e.g. ``predict --test-time`` for ``tent``; empty if none does.

    Example:
        >>> flag_of("tent"), flag_of("LoRA"), flag_of("cnn"), flag_of("no")
        ('predict --test-time', '--finetune', '--backbone', '')
    """
    name = name.lower()
    if name in backbones.names():
        return "--backbone"
    return next((group.named(name)["flag"] for group in GROUPS if name in group.names()), "")
