"""Effects on one scale, and the correction for many tests."""

import numpy as np
import pytest
from scipy.stats import norm

from acclimate.shift import effects


def test_a_shifted_normal_has_its_own_effect():
    a, b = np.random.default_rng(0).normal(size=(2, 200_000)) + np.array([[0.0], [0.7]])
    ranks = np.searchsorted(np.sort(a), b).mean() / len(a)
    grid = np.linspace(-4, 5, 1000)
    distance = np.abs(norm.cdf(grid) - norm.cdf(grid - 0.7)).max()
    assert effects.effect_of_auc(ranks) == pytest.approx(0.7, abs=0.01)
    assert effects.effect_of_distance(distance) == pytest.approx(0.7, abs=0.001)


def test_bounds_are_as_far_apart_as_is_said():
    accuracy = norm.cdf(np.array([effects.SMALL, effects.LARGE]) / 2)
    overlap = 2 * norm.cdf(-np.array([effects.SMALL, effects.LARGE]) / 2)
    assert accuracy.round(2).tolist() == [0.54, 0.66]
    assert overlap.round(2).tolist() == [0.92, 0.69]


def test_weights_leave_a_test_of_its_own_share_its_power():
    p, weights = [0.01, *[0.5] * 1000], [0.5, *[0.0005] * 1000]
    assert effects.holm(p)[0] > 0.05
    assert effects.holm(p, weights)[0] == pytest.approx(0.02)


def test_holm_keeps_false_alarms_rare():
    rng = np.random.default_rng(0)
    weights = np.repeat([0.25, 0.05], [2, 10])
    alarms = [(effects.holm(rng.random(12), weights) < 0.05).any() for _ in range(2000)]
    assert np.mean(alarms) < 0.065


def test_the_number_of_examples_that_finds_an_effect():
    rng, d = np.random.default_rng(0), effects.detectable(100, 50)
    z = (rng.normal(d, np.sqrt(1 / 100 + 1 / 50), 20_000)) / np.sqrt(1 / 100 + 1 / 50)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.02)
