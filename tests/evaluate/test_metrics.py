import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    recall_score,
    root_mean_squared_error,
)

from acclimate.evaluate.metrics import confusion, errors, mean_errors, mean_over_seeds, recalls, scores


def drawn(n, k, seed):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(k), size=n), rng.integers(k, size=n)


@given(st.integers(5, 40), st.integers(2, 5), st.integers(0, 99))
def test_scores_are_scikit_learns(n, k, seed):
    p, y = drawn(n, k, seed)
    found = scores(p, y)
    present = sorted(set(y) | set(p.argmax(1)))
    assert found["accuracy"] == pytest.approx(accuracy_score(y, p.argmax(1)), abs=1e-6)
    assert found["log_loss"] == pytest.approx(log_loss(y, p, labels=range(k)), abs=1e-6)
    expected = f1_score(y, p.argmax(1), average="macro", labels=present, zero_division=0)
    assert found["f1"] == pytest.approx(expected, abs=1e-6)


def test_recall_of_a_class_that_does_not_occur_is_unknown():
    p, y = drawn(50, 4, 0)
    y[y == 2] = 1
    found = recalls(p, y)
    assert np.isnan(found[2])
    others = [0, 1, 3]
    np.testing.assert_allclose(found[others], recall_score(y, p.argmax(1), average=None, labels=others))


def test_rows_of_the_confusion_are_true_classes():
    p = np.eye(3)[[1, 1, 2]]
    np.testing.assert_array_equal(confusion(p, np.array([0, 1, 2])), [[0, 1, 0], [0, 1, 0], [0, 0, 1]])


def test_several_seeds_have_a_mean_and_a_spread():
    found = mean_over_seeds([{"accuracy": 0.5}, {"accuracy": 0.7}])
    assert found == {"accuracy": 0.6, "accuracy_sd": pytest.approx(0.141421)}


@given(st.integers(2, 40), st.floats(0.1, 1e4), st.integers(0, 99))
def test_errors_are_scikit_learns(n, scale, seed):
    predicted, true = scale * np.random.default_rng(seed).normal(size=(2, n))
    found = errors(predicted, true)
    assert found["mae"] == pytest.approx(mean_absolute_error(true, predicted), rel=1e-5)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(true, predicted), rel=1e-5)
    assert found["r2"] == pytest.approx(r2_score(true, predicted), rel=1e-5, abs=1e-5)


def test_golden_errors():
    found = errors(np.array([2.5, 0.0, 2.0, 8.0]), np.array([3.0, -0.5, 2.0, 7.0]))
    assert found == {"mae": 0.5, "rmse": 0.612372, "r2": 0.948608}


@pytest.mark.parametrize(("predicted", "r2"), [(3.0, 1.0), (4.0, 0.0)])
def test_r2_of_labels_that_are_all_the_same_is_a_number(predicted, r2):
    assert errors(np.full(3, predicted), np.full(3, 3.0))["r2"] == r2


def test_several_seeds_have_a_spread_of_each_error():
    found = mean_errors([{"mae": 1.0, "r2": 0.5}, {"mae": 2.0, "r2": 0.5}])
    assert found == {"mae": 1.5, "r2": 0.5, "mae_sd": 0.707107, "r2_sd": 0.0}
