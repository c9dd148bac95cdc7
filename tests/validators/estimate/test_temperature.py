import numpy as np
import pytest
from scipy.special import softmax

from acclimate.errors import BadInput
from acclimate.validators.estimate.temperature import COLDEST, HOTTEST, scaled, temperature


def drawn(logits, seed=0):
    """Labels drawn with the probabilities of the logits."""
    p = softmax(logits, axis=1)
    return (np.random.default_rng(seed).random((len(p), 1)) > p.cumsum(1)).sum(1).clip(max=p.shape[1] - 1)


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_of_outputs_that_were_cooled_is_found(truth):
    logits = np.random.default_rng(0).normal(scale=2, size=(20_000, 4))
    assert temperature(softmax(truth * logits, axis=1), drawn(logits)) == pytest.approx(truth, rel=0.05)


def test_two_classes_have_a_closed_form():
    p = np.array([[0.9, 0.1]] * 4)  # three of four right: σ(log 9 / T) = 3/4, so T = log 9 / log 3
    assert temperature(p, np.array([0, 0, 0, 1])) == pytest.approx(2, rel=1e-4)


def test_without_errors_and_with_random_labels_it_stays_finite():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert COLDEST <= temperature(p, np.array([0, 1])) < 0.1
    assert temperature(p, np.array([1, 0])) == pytest.approx(HOTTEST, rel=0.1)


def test_scaling_keeps_predictions_and_sums():
    p = np.random.default_rng(0).dirichlet(np.ones(5), 50)
    hot = scaled(p, 3)
    assert (hot.argmax(1) == p.argmax(1)).all()
    np.testing.assert_allclose(hot.sum(1), 1)
    assert (hot.max(1) < p.max(1)).all()


def test_a_temperature_that_is_not_positive_is_refused():
    with pytest.raises(BadInput, match="positive"):
        scaled(np.array([[0.5, 0.5]]), 0)
