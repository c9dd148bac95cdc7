"""A new file under acclimate/methods/ is tested here without being named here."""

import inspect
from functools import partial

import pytest
from conformance import CHECKS, FEATURES, differ_in_two_processes

from acclimate import methods
from acclimate.errors import BadInput
from acclimate.methods import selfsup

EVERY = [(methods, name, task) for name in methods.names() for task in sorted(methods.get(name).tasks)]
EVERY += [(selfsup, name, FEATURES) for name in selfsup.names()]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("kind", "name", "task"), EVERY, ids=[f"{name}-{task}" for _, name, task in EVERY])
def test_every_method(kind, name, task, check):
    CHECKS[check](kind.get(name), task)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_processes_with_half_the_rows_each_agree_with_one_or_the_docstring_says_why_not(tmp_path):
    small = {"byol": {"norm": "layer", "hidden": 16, "out": 8}, "vicreg": {"norm": "layer", "hidden": 16, "out": 8}}
    named = {f"{name} {task}": (partial(kind.get(name), **small.get(name, {})), task) for kind, name, task in EVERY}
    explained = {key for key, (method, _) in named.items() if "several processes" in inspect.getdoc(method.func)}
    assert differ_in_two_processes(tmp_path, named) <= explained


def test_listing_them_imports_no_torch():
    assert {"dann", "deep_coral", "mcc", "mcd", "source_only", "supervised"} <= set(methods.names())


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
