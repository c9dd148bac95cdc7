from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.errors import BadInput
from acclimate.validators.estimate.agreement import Bounds, bounds, disagreement, gde, intersection


def test_gde_is_the_mean_agreement_of_pairs():
    predicted = np.array([[0, 1, 2, 0], [0, 1, 2, 1], [0, 0, 2, 0]])
    assert gde(predicted) == pytest.approx((3 / 4 + 3 / 4 + 2 / 4) / 3)


def test_gde_finds_the_accuracy_of_seeds_of_a_calibrated_ensemble():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 20_000)
    truth, *seeds = ((rng.random((len(p), 1)) > p.cumsum(1)).sum(1) for _ in range(4))
    assert abs(gde(np.stack(seeds)) - np.mean([(s == truth).mean() for s in seeds])) < 0.01


def test_one_seed_says_nothing():
    with pytest.raises(BadInput, match="two or more seeds"):
        gde(np.zeros((1, 5), int))


@pytest.mark.parametrize("n", [1, 3, 4])
def test_bounds_are_those_of_all_labellings(n):
    """Among all predictions of three examples with three classes, the extremes are the bounds."""
    found = {}
    truth = (0,) * n
    for a, b in product(product(range(3), repeat=n), repeat=2):
        key = sum(x == y for x, y in zip(b, truth, strict=True)), sum(x != y for x, y in zip(a, b, strict=True))
        found.setdefault(key, []).append(sum(x == y for x, y in zip(a, truth, strict=True)) / n)
    for (right, differ), accuracies in found.items():
        low, high = bounds(Bounds(right / n, right / n), differ / n)
        assert min(accuracies) == pytest.approx(low)
        assert max(accuracies) == pytest.approx(high)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_bounds_of_an_interval_hold_those_of_each_accuracy_in_it(one, other, within, d):
    low, high = min(one, other), max(one, other)
    accuracy = low + within * (high - low)
    inner, outer = bounds(Bounds(accuracy, accuracy), d), bounds(Bounds(low, high), d)
    assert outer.low <= inner.low + 1e-9
    assert outer.high >= inner.high - 1e-9


def test_bounds_that_contradict_each_other_have_no_intersection():
    assert intersection([Bounds(0.2, 0.6), Bounds(0.5, 0.9)]) == (0.5, 0.6)
    assert intersection([Bounds(0.2, 0.4), Bounds(0.5, 0.9)]) is None


def test_disagreement_is_of_the_same_examples():
    assert disagreement(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 1])) == 0.5
    with pytest.raises(BadInput, match="same examples"):
        disagreement(np.array([0, 1]), np.array([0]))
