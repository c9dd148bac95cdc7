import numpy as np
import pytest
from scipy.special import softmax

from acclimate.errors import BadInput
from acclimate.validators.estimate.pseudocal import DOMINANT, draw_pairs, pseudo_temperature


def test_pairs_are_predicted_as_different_classes_and_labelled_by_the_first():
    target = np.random.default_rng(0).dirichlet(np.ones(3), 100)
    pairs = draw_pairs(target)
    assert (target[pairs.first].argmax(1) != target[pairs.second].argmax(1)).all()
    assert (pairs.labels == target[pairs.first].argmax(1)).all()
    assert 40 < len(pairs.first) < 90  # two of three pairs differ


def test_two_examples_make_a_pair_with_any_seed():
    assert all(len(draw_pairs(np.eye(2), seed=seed).first) == 2 for seed in range(10))


def test_one_predicted_class_has_no_pairs():
    with pytest.raises(BadInput, match="one class"):
        draw_pairs(np.array([[0.6, 0.4]] * 5))


@pytest.mark.parametrize("gain", [4.0, 10.0])
def test_it_calibrates_a_linear_model_that_is_too_sure_of_overlapping_classes(gain):
    rng = np.random.default_rng(0)
    x, centres = rng.normal(size=(4000, 2)), np.array([[1.0, 0], [-0.5, 0.8], [-0.5, -0.8]])
    sure = softmax(gain * x @ centres.T, axis=1)
    pairs = draw_pairs(sure)
    mixed = DOMINANT * x[pairs.first] + (1 - DOMINANT) * x[pairs.second]
    found = pseudo_temperature(softmax(gain * mixed @ centres.T, axis=1), pairs.labels)
    assert found == pytest.approx(gain * pseudo_temperature(softmax(mixed @ centres.T, axis=1), pairs.labels), rel=0.01)
    assert found > 1
