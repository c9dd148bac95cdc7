import numpy as np
import pytest

from acclimate.errors import BadInput
from acclimate.shift.stream.error_drift import DETECTORS, ErrorDrift


def errors(n=3000, at=1500, before=0.1, after=0.4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(n) < np.where(np.arange(n) < at, before, after)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_lasting_rise_of_errors_is_found(name):
    [alarm, *_] = ErrorDrift(name, lasting=300).update(errors(), np.arange(3000))
    assert alarm.where == "error"
    assert abs(alarm.since - 1500) < 200
    assert 0.2 < alarm.effect < 0.4


def test_fewer_errors_are_no_alarm():
    assert not ErrorDrift("adwin", lasting=100).update(errors(before=0.4, after=0.1), np.arange(3000))


def test_a_short_burst_is_no_alarm():
    wrong = errors(after=0.1)
    wrong[1500:1540] = True
    assert not ErrorDrift("adwin", lasting=500).update(wrong, np.arange(3000))


def test_a_state_continues_to_the_same_alarms():
    whole = ErrorDrift("adwin").update(errors(), np.arange(3000))
    first, second = ErrorDrift("adwin"), ErrorDrift("adwin")
    alarms = first.update(errors()[:1600], np.arange(1600))
    second.restore(first.state())
    assert alarms + second.update(errors()[1600:], np.arange(1600, 3000)) == whole


def test_without_river_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install acclimate\[monitor\]"):
        ErrorDrift()
