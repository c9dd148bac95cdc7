import numpy as np
import pytest
from scipy.optimize import check_grad

from acclimate.validators.estimate.critic import DECAY, Halves, discrepancy, fit, objective


def moved(n, k=3, d=4, seed=0):
    """Predictions that depend on the first inputs, and a target whose last input tells the domain."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(n, d)), rng.normal(size=(n, d))
    target[:, -1] += 3
    return Halves(source, source[:, :k].argmax(1), target, target[:, :k].argmax(1))


@pytest.mark.parametrize("k", [2, 3, 6])
def test_the_gradient_is_that_of_finite_differences(k):
    rng, data = np.random.default_rng(k), moved(20, k, d=7)
    error = check_grad(lambda w: objective(w, data, k)[0], lambda w: objective(w, data, k)[1], rng.normal(size=8 * k))
    assert error < 1e-5


def test_the_objective_by_hand():
    data = Halves(np.array([[1.0]]), np.array([0]), np.array([[2.0]]), np.array([1]))
    w = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    agree, differ = np.e / (np.e + 2), 1 - 1 / (np.e**2 + 2)
    assert objective(w.ravel(), data, 3)[0] == pytest.approx(-np.log(agree) - np.log(differ) + DECAY / 2)


def test_large_logits_overflow_nowhere():
    value, gradient = objective(1e4 * np.random.default_rng(0).normal(size=15), moved(10), 3)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def apart(n, seed):
    """Domains in different planes, so that a linear critic can do as it likes in each."""
    z, nothing = np.random.default_rng(seed).normal(size=(n, 3)), np.zeros((n, 3))
    return Halves(np.hstack([z, nothing]), z.argmax(1), np.hstack([nothing, z]), z.argmax(1))


def test_a_critic_that_can_tell_the_domains_apart_disagrees_on_the_target_only():
    assert discrepancy(fit(apart(400, 0), 3, np.random.default_rng(0)), apart(400, 1)) > 0.9


def test_discrepancy_is_the_fall_of_agreement():
    data = Halves(np.eye(2), np.array([0, 1]), np.eye(2), np.array([1, 1]))
    same = np.vstack([np.eye(2), [0, 0]])
    assert discrepancy(same, data) == 0.5
