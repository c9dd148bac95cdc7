import numpy as np
import pytest

from acclimate.validators.estimate.mano import mano


def test_the_expansion_by_hand():
    p = np.array([2.5, 1.0]) / 3.5  # 1 + 1 + 1/2 and 1 + 0 + 0
    assert mano(np.array([[1.0, 0.0]])) == pytest.approx(np.mean(p**4) ** 0.25)


def test_very_confident_outputs_use_softmax():
    logits = np.array([[12.0, 0.0], [0.0, 14.0]])  # −log p: about 0 and 12, 14 and 0
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert mano(logits) == pytest.approx(np.mean(p**4) ** 0.25)


def test_more_certain_outputs_score_higher():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 5))
    assert mano(0.1 * z) < mano(z) < mano(3 * z)


def test_the_least_score_is_that_of_uniform_outputs():
    assert mano(np.zeros((7, 4))) == pytest.approx(0.25)
