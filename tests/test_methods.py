"""A new file under acclimate/methods/ is tested here without being named here."""

import inspect
from functools import partial

import pytest
import torch
from conformance import CHECKS, FEATURES, differ_in_two_processes, losses_and_gradients

from acclimate import methods
from acclimate.errors import BadInput
from acclimate.methods import selfsup

EVERY = [(methods, name, task) for name in methods.names() for task in sorted(methods.get(name).tasks)]
EVERY += [(selfsup, name, FEATURES) for name in selfsup.names()]


WIDE = {"vicreg"}
"""Methods with layers so wide that they take seconds."""
MARKED = [pytest.param(*one, marks=[pytest.mark.slow] * (one[1] in WIDE), id=f"{one[1]}-{one[2]}") for one in EVERY]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("kind", "name", "task"), MARKED)
def test_every_method(kind, name, task, check):
    CHECKS[check](kind.get(name), task)


NO_BATCH_NORM = {"norm": "layer", "hidden": 16, "out": 8}
SMALL = {"byol": NO_BATCH_NORM, "vicreg": NO_BATCH_NORM}
EXCEPTION = "Several processes do not take the step of one:"
"""What the docstring of a method says that cannot do this, followed by the reason."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_processes_with_half_the_rows_each_take_the_step_of_one(tmp_path):
    named = {f"{name} {task}": (partial(kind.get(name), **SMALL.get(name, {})), task) for kind, name, task in EVERY}
    excepted = {key for key, (method, _) in named.items() if EXCEPTION in inspect.getdoc(method.func)}
    assert differ_in_two_processes(tmp_path, named) == excepted


SHOWN_ELSEWHERE = {
    "adda repeat", "mcd repeat",  # in the turns
    "adamatch decay", "byol decay", "mean_teacher decay",  # after a step
    "cdan largest_product", "cdan random_width",  # of many features
    "adamatch flip", "mean_teacher flip", "self_training flip",  # of images
}  # fmt: skip
"""Options without effect on the first losses and gradients for vectors; tests of the method itself show theirs."""


def other(value):
    if isinstance(value, bool):
        return not value
    return value[:-1] if isinstance(value, tuple) else 2 * value or 0.1


OPTIONS = [
    (kind, name, option, other(SMALL.get(name, {}).get(option, p.default)))
    for kind, name in sorted({(kind, name) for kind, name, _ in EVERY}, key=lambda pair: pair[1])
    for option, p in kind.options(name).items()
    if isinstance(p.default, int | float | tuple) and f"{name} {option}" not in SHOWN_ELSEWHERE
]


@pytest.mark.parametrize(("kind", "name", "option", "value"), OPTIONS, ids=[f"{o[1]} {o[2]}" for o in OPTIONS])
def test_every_option_changes_the_losses_or_their_gradients(kind, name, option, value):
    small = SMALL.get(name, {})
    task = FEATURES if kind is selfsup else "classification"
    usual = losses_and_gradients(partial(kind.get(name), **small), task)
    found = losses_and_gradients(partial(kind.get(name), **small | {option: value}), task)
    assert any(key not in found or not torch.equal(found[key], usual[key]) for key in usual)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BadInput, match="did you mean dann"):
        methods.get("dan_n")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in (methods, selfsup) for name in kind.names()])
def test_summary_tells_the_options_without_importing(kind, name):
    summary = kind.summary(name)
    assert set(summary["options"]) == set(kind.options(name))
    assert summary["does"].endswith(".")
    assert summary["reference"]
    assert summary["numbers"] == ("regression" in kind.get(name).tasks)
