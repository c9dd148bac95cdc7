import math

import numpy as np
import pytest
from scipy.special import softmax

from acclimate.errors import BadInput
from acclimate.validators.estimate.dis2 import dis2, dis2_logits, log_ratios, sampling_error

CENTRES = np.array([[2.0, 0, 0], [-1.0, 1.7, 0], [-1.0, -1.7, 0]])


def world(n, shift=0.0, turn=0.0, seed=0):
    """Features of three classes, their labels, and the outputs of the classifier that is right without a shift."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    c, s = math.cos(turn), math.sin(turn)
    centres = CENTRES @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    x = centres[y] + 0.7 * rng.normal(size=(n, 3)) + [0, 0, shift]
    return x, y, softmax(2 * x @ CENTRES.T, axis=1)


def test_without_shift_nothing_is_lost():
    (_, y, p), (_, z, q) = world(1500), world(1500, seed=1)
    found = dis2_logits(p, y, q)
    assert found.discrepancy < 0.04
    assert abs(found.accuracy - (q.argmax(1) == z).mean()) < 0.06


@pytest.mark.parametrize("turn", [0.4, 0.6, 0.8])
def test_the_bound_holds_under_a_turn_that_lowers_accuracy(turn):
    (x, y, p), (t, z, q) = world(1500), world(1500, turn=turn, seed=1)
    truth = (q.argmax(1) == z).mean()
    assert dis2_logits(p, y, q).bound <= truth
    assert dis2(p, y, q, x, t).bound <= truth


def test_features_that_tell_the_domain_make_the_bound_looser_than_logits():
    (x, y, p), (t, _, q) = world(1000), world(1000, shift=6, seed=1)
    assert dis2(p, y, q, x, t).accuracy < dis2_logits(p, y, q).accuracy - 0.3


def test_a_model_that_collapsed_on_the_target_is_not_believed():
    x, y, p = world(1000)
    t, _, _ = world(1000, turn=0.6, seed=1)
    collapsed = np.tile([0.998, 0.001, 0.001], (1000, 1))
    assert dis2(p, y, collapsed, x, t).accuracy < 0.7


def test_the_sampling_error_is_that_of_the_paper():
    assert sampling_error(100, 50, risk=0.05) == pytest.approx(math.sqrt(300 * math.log(20) / 10_000))


def test_the_bound_is_lower_by_the_sampling_error_of_half_the_examples():
    (_, y, p), (_, _, q) = world(1500), world(1500, seed=1)
    found = dis2_logits(p, y, q)
    assert found.accuracy - found.bound == pytest.approx(sampling_error(750, 750))


def test_it_depends_on_the_seed_only():
    (_, y, p), (_, _, q) = world(200), world(200, turn=0.5, seed=1)
    assert dis2_logits(p, y, q, seed=3) == dis2_logits(p, y, q, seed=3)


def test_log_ratios_give_the_probabilities_back():
    p = np.random.default_rng(0).dirichlet(np.ones(4), 10)
    np.testing.assert_allclose(softmax(log_ratios(p), axis=1), p)


@pytest.mark.parametrize(
    ("features", "n", "says"),
    [((5, 3), 5, "features of 5 source"), ((6, 2), 5, "features must be"), ((6, 3), 3, "at least 4 examples")],
)
def test_features_that_do_not_fit_are_refused(features, n, says):
    p = np.full((6, 2), 0.5)
    with pytest.raises(BadInput, match=says):
        dis2(p, np.zeros(6, int), p[:n], np.zeros(features), np.zeros((n, 3)))
