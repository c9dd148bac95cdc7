import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from acclimate.shift.stream.monitor import ALPHA, Monitor
from acclimate.shift.stream.reference import Reference, edges_of, summarise
from acclimate.shift.stream.tolerance import p_of_rise


def reference(m=1000, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return summarise({f"c{i}": ("column", rng.normal(size=m)) for i in range(d)}, source="rows", n=m)


def stream(n, d=3, shift=0.0, at=0, seed=1):
    rng = np.random.default_rng(seed)
    values = {f"c{i}": rng.normal(size=n) for i in range(d)}
    values["c0"][at:] += shift
    return values


def test_a_move_is_found_soon_and_dated():
    [alarm, *_] = Monitor(reference(), every=200).update(stream(10_000, shift=1.0, at=4000), 10_000)
    assert alarm.name == "c0"
    assert (alarm.row, alarm.since) == (4200, 4000)
    assert 0.8 < alarm.effect < 1.3


@pytest.mark.slow
def test_a_small_reference_raises_no_alarm_however_long_the_stream():
    alarms = [
        Monitor(reference(100, 1, seed), every=1000).update(stream(100_000, 1, seed=seed + 1), 100_000)
        for seed in range(30)
    ]
    assert sum(map(bool, alarms)) <= 2 * ALPHA * len(alarms)


def test_a_move_within_the_tolerance_is_no_alarm_whatever_its_significance():
    assert not Monitor(reference(100_000, 1), every=20_000).update(stream(400_000, 1, shift=0.15), 400_000)


def test_p_values_at_the_tolerance_are_uniform_or_larger():
    rng, n, m = np.random.default_rng(0), 400, 800
    x, y = rng.binomial(n, 0.4, 4000).astype(float), rng.binomial(m, 0.3, 4000).astype(float)
    p = p_of_rise(x, np.array([float(n)]), y, np.array([float(m)]), 0.1)
    assert [(p <= level).mean() <= 1.3 * level for level in (0.05, 0.01)] == [True, True]


def test_the_p_value_is_near_that_of_two_proportions_without_tolerance():
    x, n, y, m = (np.array([value]) for value in (460.0, 1000.0, 400.0, 1000.0))
    z = (0.46 - 0.4) / np.sqrt(0.43 * 0.57 * 2 / 1000)
    np.testing.assert_allclose(p_of_rise(x, n, y, m, 0.0), norm.sf(z), rtol=0.05)


def test_missing_values_and_new_texts_are_found():
    rng = np.random.default_rng(0)
    usual = pl.Series(rng.choice(["a", "b"], 1000))
    monitor = Monitor(summarise({"town": ("column", usual)}, source="rows", n=1000), every=300)
    new = pl.Series([None if i % 3 == 0 else "c" if i % 9 else "a" for i in range(1, 301)], dtype=pl.String)
    alarms = monitor.update({"town": new}, 300)
    assert {alarm.where for alarm in alarms} == {"column", "missing"}
    assert any("another value" in alarm.text for alarm in alarms)


def test_the_size_of_batches_makes_no_difference():
    values = stream(5000, shift=0.8, at=2000)
    whole = Monitor(reference(), every=300).update(values, 5000)
    bits, monitor = [], Monitor(reference(), every=300)
    for start in range(0, 5000, 77):
        part = {name: of[start : start + 77] for name, of in values.items()}
        bits += monitor.update(part, len(part["c0"]))
    assert whole == bits


def test_a_state_continues_to_the_same_alarms():
    values = stream(5000, shift=0.8, at=2000)
    whole = Monitor(reference(), every=300).update(values, 5000)
    first = Monitor(reference(), every=300)
    alarms = first.update({name: of[:2500] for name, of in values.items()}, 2500)
    second = Monitor(reference(), every=300)
    second.restore(first.state())
    assert alarms + second.update({name: of[2500:] for name, of in values.items()}, 2500) == whole


def test_a_reference_is_read_as_it_was_written(tmp_path):
    written = reference()
    written.save(tmp_path / "reference.npz")
    read = Reference.load(tmp_path / "reference.npz")
    assert read.channels == written.channels
    np.testing.assert_array_equal(read.counts, written.counts)


def test_labels_have_the_first_window_as_reference():
    usual = summarise({"c0": ("column", np.zeros(100))}, source="rows", n=100, classes=("no", "yes"))
    monitor, labels = Monitor(usual, every=200), ["no", "yes"] * 200 + ["yes"] * 400
    alarms = monitor.update({"c0": np.zeros(800), "labels": pl.Series(labels)}, 800)
    assert [alarm.where for alarm in alarms] == ["labels"]
    assert alarms[0].since == 400


def test_a_frequent_value_has_a_bin_of_its_own():
    edges = edges_of(np.concatenate([np.zeros(500), np.arange(1, 501)]))
    counts = np.bincount(np.searchsorted([*edges, np.inf], np.zeros(9)), minlength=len(edges) + 1)
    assert np.searchsorted([*edges, np.inf], [-1e-9, 1e-9]).tolist() == [counts.argmax() - 1, counts.argmax() + 1]
