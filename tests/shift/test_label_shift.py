import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad, nnls

from acclimate.errors import BadInput
from acclimate.shift.label_shift import ESTIMATORS, bbse, calibrate, em, label_shift, rlls

seeds = st.integers(0, 2**31)


def world(n, shares, seed, noise=1.0, sharpness=1.0):
    """Gaussian classes, with the probabilities of the Bayes rule for equal shares, overconfident by ``sharpness``."""
    rng = np.random.default_rng(seed)
    k = len(shares)
    labels = rng.choice(k, size=n, p=shares)
    x = 2 * np.eye(k)[labels] + noise * rng.normal(size=(n, k))
    p = np.exp(sharpness * 2 * x / noise**2)
    return p / p.sum(1, keepdims=True), labels


EQUAL, SKEWED = [1 / 3, 1 / 3, 1 / 3], [0.7, 0.25, 0.05]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_many_rows_give_the_true_shares(name):
    source, labels = world(20_000, EQUAL, 0)
    target, _ = world(20_000, SKEWED, 1)
    np.testing.assert_allclose(label_shift(name, source, labels, target, draws=0).shares, SKEWED, atol=0.015)


@given(seeds)
def test_bbse_solves_the_confusion_equation(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 100)
    source = np.where(rng.random(300) < 0.8, labels, rng.integers(3, size=300))
    target = rng.integers(3, size=80)
    confusion = np.array([[np.mean((source == i) & (labels == j)) for j in range(3)] for i in range(3)])
    solved = np.linalg.solve(confusion, [np.mean(target == i) for i in range(3)]).clip(0)
    expected = solved / (solved / 3).sum()
    np.testing.assert_allclose(bbse(np.eye(3)[source], labels, np.eye(3)[target]), expected, atol=1e-8)


def test_rlls_without_its_penalty_is_constrained_least_squares():
    source, labels = world(400, EQUAL, 0)
    target, _ = world(200, SKEWED, 1)
    confusion = np.zeros((3, 3))
    np.add.at(confusion, (source.argmax(1), labels), 1 / 400)
    weights, _ = nnls(confusion, np.bincount(target.argmax(1), minlength=3) / 200)
    share = np.bincount(labels) / 400
    np.testing.assert_allclose(rlls(source, labels, target, strength=0), weights / (share @ weights), atol=1e-3)


def test_rlls_under_its_whole_bound_sees_no_shift_in_few_rows():
    source, labels = world(30, EQUAL, 0)
    target, _ = world(10, SKEWED, 1)
    np.testing.assert_allclose(rlls(source, labels, target, strength=1.0), 1.0, atol=0.02)


def test_em_ends_where_its_likelihood_is_highest():
    source, labels = world(3000, EQUAL, 0)
    target, _ = world(500, [0.8, 0.1, 0.1], 1)
    share = np.bincount(labels) / 3000

    def likelihood(weights):
        return np.log(target @ weights).mean()

    best = em(source, labels, target)
    for other in np.random.default_rng(0).dirichlet(np.ones(3), 200) / share:
        assert likelihood(best) >= likelihood(other) - 1e-9


@given(seeds)
def test_calibration_is_where_the_slope_is_zero(seed):
    p, y = world(300, EQUAL, seed, sharpness=3.0)
    fitted = calibrate(p, y)
    x = np.array([-np.log(fitted.temperature), *fitted.bias])

    def loss(x):
        z = np.log(p.clip(1e-30)) * np.exp(x[0]) + x[1:]
        top = z.max(1)
        log_p = z - (top + np.log(np.exp(z - top[:, None]).sum(1)))[:, None]
        return -log_p[np.arange(300), y].mean() + (x @ x) / 600

    assert check_grad(loss, lambda x: np.zeros_like(x), x) < 1e-3


def test_calibration_undoes_overconfidence():
    p, y = world(20_000, EQUAL, 0, sharpness=4.0)
    assert abs(calibrate(p, y).temperature - 4) < 0.2


def test_calibrated_overconfident_probabilities_are_those_of_the_bayes_rule():
    p, y = world(20_000, EQUAL, 0, sharpness=4.0)
    honest, _ = world(20_000, EQUAL, 0)
    np.testing.assert_allclose(calibrate(p, y)(p), honest, atol=0.03)


def test_correction_makes_predictions_better_under_shift():
    source, labels = world(2000, EQUAL, 0, noise=2.0)
    target, truth = world(2000, SKEWED, 1, noise=2.0)
    corrected = label_shift("em", source, labels, target, draws=0).correct(target)
    np.testing.assert_allclose(corrected.sum(1), 1)
    assert (corrected.argmax(1) == truth).mean() > (target.argmax(1) == truth).mean() + 0.03


@pytest.mark.parametrize(
    ("name", "worlds"), [("em", 4), *(pytest.param(name, 20, marks=pytest.mark.slow) for name in ESTIMATORS)]
)
def test_intervals_cover_the_truth(name, worlds):
    held = []
    for seed in range(worlds):
        source, labels = world(300, EQUAL, seed)
        found = label_shift(name, source, labels, world(300, SKEWED, 100 + seed)[0], draws=100)
        held += list((found.low <= SKEWED) & (found.high >= SKEWED))
    assert np.mean(held) > 0.85


@pytest.mark.parametrize("name", ["bbse", "rlls"])
def test_a_confusion_that_never_occurs_is_not_excluded(name):
    """One in 200 of the target's examples, all of class 0, is predicted as class 2; none of 150 of the source is."""
    sure = 0.98 * np.eye(3) + 0.01
    source = sure[np.arange(450) % 3]
    target = sure[np.where(np.arange(4000) % 200 == 0, 2, 0)]
    found = label_shift(name, source, np.arange(450) % 3, target, draws=200)
    assert found.low[2] == pytest.approx(0, abs=1e-3)
    assert found.high[2] > 0


def test_a_class_without_held_out_examples_is_refused():
    p, _ = world(10, EQUAL, 0)
    with pytest.raises(BadInput, match="class number 2 has no held-out source example"):
        label_shift("em", p, np.arange(10) % 2, p)


def test_an_unknown_estimator_gets_the_nearest_name():
    p, y = world(30, EQUAL, 0)
    with pytest.raises(BadInput, match="did you mean bbse"):
        label_shift("bbs", p, y, p)
