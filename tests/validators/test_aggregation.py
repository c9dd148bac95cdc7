import numpy as np
import pytest

from acclimate.errors import BadInput
from acclimate.validators.aggregation import aggregate, coefficients


def models(m=4, n=60, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(k), (m, n))


def test_coefficients_are_the_least_squares_of_the_labels_if_the_domains_are_one():
    source, labels = models(), np.random.default_rng(1).integers(3, size=60)
    found = coefficients(source, labels, np.ones(60), source, cut=1e-12)
    flat = source.reshape(4, -1).T
    assert np.allclose(found, np.linalg.lstsq(flat, np.eye(3)[labels].ravel(), rcond=None)[0])


def test_coefficients_under_shift_are_those_of_the_target_if_the_weights_are_right():
    p, classes = models(n=5, seed=2), np.array([0, 1, 2, 1, 0])
    in_source, in_target = np.array([400, 300, 100, 100, 100]), np.array([100, 100, 100, 300, 400])
    source, target = np.repeat(p, in_source, axis=1), np.repeat(p, in_target, axis=1)
    found = coefficients(source, np.repeat(classes, in_source), np.repeat(in_target / in_source, in_source), target)
    knows = coefficients(target, np.repeat(classes, in_target), np.ones(1000), target)
    assert np.allclose(found, knows)


def test_the_right_model_among_random_ones_has_the_whole_weight():
    labels = np.arange(60) % 3
    stack = np.concatenate([models(), np.eye(3)[labels][None]])
    assert coefficients(stack, labels, np.ones(60), stack, cut=1e-12) == pytest.approx([0, 0, 0, 0, 1], abs=1e-9)


def test_a_model_that_is_given_twice_shares_its_weight():
    stack, labels = models(m=2), np.arange(60) % 3
    once = coefficients(stack, labels, np.ones(60), stack)
    twice = coefficients(stack[[0, 1, 1]], labels, np.ones(60), stack[[0, 1, 1]])
    assert np.allclose(twice, [once[0], once[1] / 2, once[1] / 2])


def test_a_combination_is_probabilities_again():
    stack = np.array([[[0.9, 0.1], [0.5, 0.5]], [[0.2, 0.8], [0.5, 0.5]]])
    assert np.allclose(aggregate(stack), [[0.55, 0.45], [0.5, 0.5]])
    assert np.allclose(aggregate(stack, np.array([2.0, -1.0])), [[1, 0], [0.5, 0.5]])  # 1.6 and −0.6 are clipped
    assert np.allclose(aggregate(stack, np.array([-1.0, -1.0])), aggregate(stack))


def test_arrays_of_other_examples_are_refused():
    with pytest.raises(BadInput, match="must be of the same models and examples"):
        coefficients(models(), np.zeros(59, dtype=int), np.ones(60), models())
