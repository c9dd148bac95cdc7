"""A new file under acclimate/methods/ is tested here without being named here."""

import pytest
from conformance import CHECKS

from acclimate import methods
from acclimate.errors import BadInput


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("name", "task"), [(n, t) for n in methods.names() for t in sorted(methods.get(n).tasks)])
def test_every_method(name, task, check):
    CHECKS[check](methods.get(name), task)


def test_listing_them_imports_no_torch():
    assert {"dann", "deep_coral", "mcc", "mcd", "source_only", "supervised"} <= set(methods.names())


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BadInput, match="did you mean dann"):
        methods.get("dan_n")


@pytest.mark.parametrize("name", methods.names())
def test_summary_tells_the_options_without_importing(name):
    told = methods.summary(name)
    assert set(told["options"]) == set(methods.options(name))
    assert told["does"].endswith(".")
    assert told["reference"]
    assert told["numbers"] == ("regression" in methods.get(name).tasks)
