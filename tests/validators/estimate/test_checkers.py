import numpy as np
import pytest

from acclimate.errors import BadInput
from acclimate.validators.estimate.checkers import checked, votes

CENTRES = np.array([[3.0, 0], [-1.5, 2.6], [-1.5, -2.6]])


def world(n, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return CENTRES[y] + rng.normal(size=(n, 2)) + shift, y


def test_each_checker_predicts_what_its_definition_says():
    (x, y), (t, _) = world(60), world(20, 1, shift=4)
    nearest, neighbours, _ = votes(x, y, t)
    centroids = [x[y == c].mean(0) for c in range(3)]
    by_distance = [np.argsort(np.linalg.norm(x - row, axis=1))[:5] for row in t]
    assert nearest.tolist() == [int(np.argmin([np.linalg.norm(row - c) for c in centroids])) for row in t]
    assert neighbours.tolist() == [int(np.bincount(y[rows]).argmax()) for rows in by_distance]


def test_one_checker_follows_a_target_that_moved_as_a_whole():
    (x, y), (t, z) = world(500), world(500, 1, shift=6)
    nearest, _, aligned = votes(x, y, t)
    assert (aligned == z).mean() > 0.95
    assert (nearest == z).mean() < 0.6


@pytest.mark.parametrize("wrong", [0.0, 0.2, 0.5])
def test_without_shift_agreement_is_near_the_accuracy_of_independent_errors(wrong):
    (x, y), (t, z) = world(500), world(1000, 1)
    rng = np.random.default_rng(2)
    predicted = np.where(rng.random(1000) < wrong, (z + 1) % 3, z)
    assert checked(x, y, t, predicted) == pytest.approx(1 - wrong, abs=0.04)


def test_many_examples_are_sampled_by_the_seed():
    (x, y), (t, z) = world(300), world(300, 1)
    assert checked(x, y, t, z, largest=50, seed=1) == checked(x, y, t, z, largest=50, seed=1)
    assert abs(checked(x, y, t, z, largest=100) - checked(x, y, t, z)) < 0.06


def test_a_class_with_one_example_and_a_constant_feature_give_no_warning():
    x, y = np.ones((7, 3)), np.array([0, 0, 0, 1, 1, 1, 2])
    x[:, 0] = y
    assert votes(x, y, x).shape == (3, 7)


@pytest.mark.parametrize(
    ("d", "n", "value", "says"),
    [(3, 20, 0.0, "features must be"), (2, 19, 0.0, "19 predictions"), (2, 20, np.nan, "NaN or infinity")],
)
def test_arrays_that_do_not_fit_are_refused(d, n, value, says):
    (x, y), t = world(20), np.full((20, d), value)
    with pytest.raises(BadInput, match=says):
        checked(x, y, t, np.zeros(n, int))
