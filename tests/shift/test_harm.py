"""Whether a shift harms a model, by a model that disagrees with it."""

import numpy as np
import pytest

from acclimate.shift.harm import Judged, disagreement, harm_test, of_labels, of_model

WEIGHTS = np.array([[2.0, -2.0], [0, 0], [0, 0]])


def judged(n, seed=0, shift=(0, 0, 0)):
    """A model that splits the first axis."""
    x = np.random.default_rng(seed).normal(size=(n, 3)) + shift
    odds = np.exp(x @ WEIGHTS)
    return Judged(x, odds / odds.sum(1, keepdims=True))


def test_a_shift_to_where_the_source_says_nothing_harms():
    found = harm_test(judged(300), judged(200, 1), judged(50, 2, (1.5, 6, 0)))
    assert found.p < 0.001
    assert found.rate > 2 * found.usual


@pytest.mark.parametrize("shift", [(3, 0, 0), (0, 6, 0)], ids=["where the model is sure", "along what it ignores"])
def test_other_shifts_do_not(shift):
    found = harm_test(judged(300), judged(200, 1), judged(50, 2, shift))
    assert found.p > 0.05


def test_other_class_shares_alone_do_not():
    target = judged(200, 2)
    rare = np.concatenate([np.flatnonzero(target.x[:, 0] < 0)[:4], np.flatnonzero(target.x[:, 0] > 0)[:46]])
    assert harm_test(judged(300), judged(200, 1), target.take(rare)).p > 0.05


@pytest.mark.slow
def test_no_shift_raises_few_alarms():
    p = [harm_test(judged(100, i), judged(60, 100 + i), judged(30, 200 + i)).p for i in range(12)]
    assert np.mean(np.array(p) < 0.05) <= 0.2
    assert 0.3 < np.mean(p) < 0.7


def test_the_statistic_is_the_probability_of_other_classes():
    learnt, sample = judged(200), judged(40, 1, (0, 3, 0))
    score, rate = disagreement(learnt, sample)
    again, _ = disagreement(Judged(learnt.x[::-1], learnt.probabilities[::-1]), sample)
    assert 0 < rate < 1
    assert score == pytest.approx(again, abs=1e-3)  # the order of the examples does not matter


def test_held_out_examples_are_not_learnt_from():
    source, target = judged(120), judged(40, 1, (0, 3, 0))
    held = source.take(np.arange(60))
    apart = of_model(source.take(np.arange(60, 120)), held, target)
    assert of_model(source, held, target) == apart


def test_labels_of_the_source_stand_in_for_a_model():
    source, target = judged(400), judged(60, 1, (0, 6, 0))
    found = of_labels(source.x, source.probabilities.argmax(1), target.x)
    assert found.p < 0.001
    assert "accuracy 9" in found.name


def test_too_few_examples_or_classes_are_no_test():
    few = judged(8)
    assert harm_test(judged(100), judged(100, 1), few) is None
    assert of_labels(judged(100).x, np.zeros(100, int), judged(100).x) is None
    assert of_labels(judged(100).x, np.arange(100) // 2, judged(100).x) is None  # rather numbers
