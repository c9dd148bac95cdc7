"""A new file under acclimate/methods/ is tested here without being named here."""

import pytest
from conformance import CHECKS, FEATURES

from acclimate import methods
from acclimate.errors import BadInput
from acclimate.methods import selfsup

EVERY = [(methods, name, task) for name in methods.names() for task in sorted(methods.get(name).tasks)]
EVERY += [(selfsup, name, FEATURES) for name in selfsup.names()]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("kind", "name", "task"), EVERY, ids=[f"{name}-{task}" for _, name, task in EVERY])
def test_every_method(kind, name, task, check):
    CHECKS[check](kind.get(name), task)


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
