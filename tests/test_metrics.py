import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from acclimate.metrics import (
    accuracy_interval,
    all_scores,
    auc,
    confusion,
    errors,
    f1_by_class,
    mean_errors,
    mean_over_seeds,
    paired_interval,
    recalls,
    scores,
    wilson,
)


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


def test_the_log_loss_of_an_impossible_class_is_finite():
    assert scores(np.array([[1.0, 0.0]]), np.array([1]))["log_loss"] == pytest.approx(-np.log(1e-15), abs=1e-6)


@given(st.integers(20, 60), st.integers(2, 5), st.integers(0, 99))
def test_f1_of_each_class_is_scikit_learns(n, k, seed):
    p, y = drawn(n, k, seed)
    expected = f1_score(y, p.argmax(1), average=None, labels=range(k), zero_division=np.nan)
    np.testing.assert_allclose(f1_by_class(p, y), expected)


@given(st.integers(20, 60), st.integers(2, 5), st.integers(0, 99))
def test_auc_is_scikit_learns_where_all_classes_occur(n, k, seed):
    p, y = drawn(n, k, seed)
    y[:k] = range(k)
    options = {"multi_class": "ovr", "average": "macro", "labels": range(k)} if k > 2 else {}
    assert auc(p, y) == pytest.approx(roc_auc_score(y, p if k > 2 else p[:, 1], **options))


@given(st.integers(5, 40), st.integers(0, 99))
def test_auc_of_positive_classes_counts_the_pairs_in_the_right_order(n, seed):
    p, y = drawn(n, 4, seed)
    y[:4] = range(4)
    score, is_positive = p[:, 1] + p[:, 3], np.isin(y, [1, 3])
    right = score[is_positive][:, None] > score[~is_positive]
    assert auc(p, y, positive=[1, 3]) == pytest.approx(right.mean())


def test_auc_by_hand():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]])
    assert auc(p, np.array([0, 0, 1, 1])) == 0.75  # of four pairs the one of .6 and .3 is in the wrong order


def test_auc_is_of_the_classes_that_occur():
    p, y = drawn(50, 4, 0)
    y[y == 2] = 1
    expected = np.mean([roc_auc_score(y == c, p[:, c]) for c in (0, 1, 3)])
    assert auc(p, y) == pytest.approx(expected)


@pytest.mark.parametrize("positive", [(), (0,), (1, 2)])
def test_auc_without_positives_or_negatives_is_unknown(positive):
    p, y = drawn(9, 3, 0)
    assert np.isnan(auc(p, np.zeros_like(y), positive))
    assert scores(p, np.zeros_like(y), positive)["auc"] is None


def test_positive_classes_are_given_by_name():
    p, y = drawn(30, 3, 0)
    found = all_scores(p, y, ("a", "b", "c"), positive=("c", "a"))
    assert found["auc"] == pytest.approx(roc_auc_score(y != 1, p[:, 0] + p[:, 2]), abs=1e-6)
    assert set(found["f1_by_class"]) == {"a", "b", "c"}


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


def test_over_seeds_an_unknown_value_is_left_out():
    found = mean_over_seeds([{"auc": 0.5}, {"auc": None}])
    assert found == {"auc": 0.5, "auc_sd": None}


def test_over_seeds_each_class_has_a_mean_of_its_own():
    found = mean_over_seeds([{"f1_by_class": {"a": 0.2, "b": None}}, {"f1_by_class": {"a": 0.4, "b": None}}])
    assert found["f1_by_class"] == {"a": 0.3, "b": None}
    assert found["f1_by_class_sd"] == {"a": pytest.approx(0.141421), "b": None}


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


@pytest.mark.parametrize(("predicted", "r2"), [(3.0, 1.0), (4.0, 0.0)])
def test_r2_of_a_single_label_is_a_number(predicted, r2):
    assert errors(np.array([predicted]), np.array([3.0]))["r2"] == r2


def test_several_seeds_have_a_spread_of_each_error():
    found = mean_errors([{"mae": 1.0, "rmse": 1.0, "r2": 0.5}, {"mae": 2.0, "rmse": 1.0, "r2": 0.5}])
    assert found == {"mae": 1.5, "rmse": 1.0, "r2": 0.5, "mae_sd": 0.707107, "rmse_sd": 0.0, "r2_sd": 0.0}


@pytest.mark.parametrize(("right", "n"), [(0, 5), (13, 14), (14, 14), (70, 140), (999, 1000)])
def test_wilson_is_scipys(right, n):
    expected = scipy.stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high))


def covers(interval, truth):
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize("n", [12, 60, 300])
@pytest.mark.parametrize(("gained", "lost"), [(0.3, 0.3), (0.1, 0.05), (0.6, 0.02)])
def test_the_interval_of_one_seed_covers_the_true_change(n, gained, lost):
    rng = np.random.default_rng(0)
    drawn = rng.choice([1.0, -1.0, 0.0], p=[gained, lost, 1 - gained - lost], size=(300, 1, n))
    found = [covers(accuracy_interval(gains, draws=200), gained - lost) for gains in drawn]
    assert np.mean(found) > 0.92


@pytest.mark.parametrize("n", [20, 100])
def test_a_clear_change_is_one_by_mcnemars_exact_test(n):
    rng = np.random.default_rng(0)
    for gained in rng.uniform(0, 0.5, 100):
        gains = rng.choice([1.0, -1.0, 0.0], p=[gained, 0.1, 0.9 - gained], size=(1, n))
        better, worse = int((gains > 0).sum()), int((gains < 0).sum())
        p = scipy.stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
        contains_zero = covers(accuracy_interval(gains), 0)
        assert contains_zero or p < 0.1
        assert not contains_zero or p > 0.01


@pytest.mark.parametrize(("n_seeds", "resampled"), [(2, 0.6), (3, 0.82), (5, 0.92)])
def test_the_interval_of_few_seeds_covers_the_true_change_where_resampling_them_would_not(n_seeds, resampled):
    rng = np.random.default_rng(0)
    of_seeds = rng.normal(0.1, 0.1, (400, n_seeds, 1)) + rng.normal(0, 0.1, (400, 1, 100))
    found = [covers(paired_interval(differences, draws=200), 0.1) for differences in of_seeds]
    assert np.mean(found) > 0.92
    drawn = rng.integers(n_seeds, size=(500, n_seeds))
    low, high = np.quantile(of_seeds.mean(2)[:, drawn].mean(2), [0.025, 0.975], axis=1)
    assert np.mean((low <= 0.1) & (high >= 0.1)) < resampled


@pytest.mark.parametrize("n", [10, 50])
def test_the_interval_covers_the_true_mean_of_skewed_errors(n):
    rng = np.random.default_rng(0)
    found = [covers(paired_interval(rng.gamma(2.0, 1.0, (1, n)), draws=200), 2.0) for _ in range(300)]
    assert np.mean(found) > 0.9


def test_of_many_examples_the_interval_is_the_normal_one():
    differences = np.random.default_rng(0).normal(size=(1, 30_000))
    low, high = paired_interval(differences)
    expected = scipy.stats.norm.interval(0.95, differences.mean(), differences.std() / np.sqrt(30_000))
    assert (low, high) == pytest.approx(expected, abs=2e-4)


def test_examples_that_never_differ_are_not_certain():
    low, high = accuracy_interval(np.zeros((3, 10)))
    assert low < -0.05
    assert high > 0.05
    assert accuracy_interval(np.zeros((1, 1000))).high < 0.01


def test_an_interval_is_the_same_each_time_and_takes_no_time():
    differences = np.random.default_rng(0).integers(-1, 2, (5, 10_000)).astype(np.float64)
    began = time.perf_counter()
    assert accuracy_interval(differences) == accuracy_interval(differences)
    assert time.perf_counter() - began < 2


def test_calibration_error_is_that_of_an_independent_computation():
    from acclimate.metrics import reliability

    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 500)
    y = rng.integers(0, 4, 500)
    confidence, right = p.max(1), p.argmax(1) == y
    expected = 0.0
    for low in np.arange(10) / 10:
        chosen = (confidence >= low) & (confidence < low + 0.1)
        if chosen.any():
            expected += chosen.mean() * abs(right[chosen].mean() - confidence[chosen].mean())
    assert reliability(p, y).error == pytest.approx(expected, abs=1e-9)
