import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.errors import BadInput
from acclimate.metrics import wilson
from acclimate.validators.audit import (
    ask,
    ask_by_class,
    audit,
    audit_by_class,
    audit_numbers,
    correlation,
    labels_needed,
    prediction_powered,
)


def half(n, share, level=0.95):
    """Half-width of the interval before it is cut at 0 and 1."""
    low, high = wilson(share, n, level=level)
    return (high - low) / 2


@given(st.floats(0.01, 0.45), st.floats(0.1, 0.9), st.sampled_from([0.9, 0.95]))
def test_labels_needed_is_the_smallest_number_that_is_enough(width, share, level):
    n = labels_needed(width, share=share, level=level)
    assert half(n, share, level) <= width + 1e-6
    assert n == 1 or half(n - 1, share, level) > width - 1e-6


def test_a_half_width_that_no_interval_has_is_refused():
    with pytest.raises(BadInput, match="between 0 and"):
        labels_needed(0.5)


def test_a_plain_audit_is_wilson():
    found = audit(np.array([True] * 13 + [False]))
    assert (found.accuracy, found.how) == (13 / 14, "wilson")
    assert (found.low, found.high) == pytest.approx((0.685, 0.987), abs=5e-4)


def test_no_labels_are_refused():
    with pytest.raises(BadInput, match="no labelled examples"):
        audit(np.array([], bool))


def world(n, signal, seed):
    """A guess for each example, and whether the model is right on it, about 8 times in 10."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    guess = 1 / (1 + np.exp(-(1.4 + 0.5 * signal) - signal * z))
    return guess, rng.random(n) < guess


def powered(n, signal, seed, guess=None):
    of_all, right = world(2000, signal, seed)
    of_all = of_all if guess is None else guess(seed)
    i = ask(2000, n, seed=seed)
    rest = np.delete(of_all, i)
    return prediction_powered(right[i], of_all[i], rest, seed=seed), audit(right[i])


def test_the_estimate_by_hand_where_all_folds_have_the_same_slope():
    """A guess that is right about every example: slope 1 / (1 + n/N), less what the rest adds."""
    right = np.array([True, False] * 20)
    rest = np.array([1.0] * 700 + [0.0] * 300)
    slope = 1 / (1 + 40 / 1000)
    found = prediction_powered(right, right.astype(float), rest)
    assert found.how == "prediction_powered"
    assert found.accuracy == pytest.approx(0.5 - slope * (0.5 - 0.7))


@pytest.mark.parametrize("n", [30, 100])
def test_guesses_that_foretell_narrow_the_interval_and_keep_its_coverage(n):
    truth = world(10**6, 3, 999)[1].mean()
    found = [powered(n, 3, seed) for seed in range(200)]
    assert np.mean([one.low <= truth <= one.high for one, _ in found]) > 0.91
    assert np.mean([one.high - one.low for one, _ in found]) < 0.85 * np.mean([p.high - p.low for _, p in found])
    assert np.mean([(one.accuracy - truth) ** 2 for one, _ in found]) < np.mean(
        [(p.accuracy - truth) ** 2 for _, p in found]
    )


def test_guesses_that_say_nothing_are_seldom_used_and_do_little_harm():
    truth = world(10**6, 1, 999)[1].mean()
    found = [powered(40, 1, seed, lambda s: np.random.default_rng(10**6 + s).random(2000)) for seed in range(200)]
    assert np.mean([one.how == "prediction_powered" for one, _ in found]) < 0.1
    assert np.mean([one.low <= truth <= one.high for one, _ in found]) > 0.91


def test_few_errors_leave_the_plain_interval():
    right = np.array([True] * 36 + [False] * 4)
    assert prediction_powered(right, right.astype(float), np.full(100, 0.9)).how == "wilson"


def test_the_correlation_is_cross_fitted():
    rng = np.random.default_rng(0)
    y, noise, fold = (rng.random(400) < 0.7).astype(float), rng.random(400), np.arange(400) % 5
    assert correlation(y, noise, fold) < 0.1
    assert correlation(y, y + 0.01 * noise, fold) > 0.99
    assert correlation(y, -y, fold) > 0.99


def test_a_draw_is_without_repeats_uniform_and_of_its_seed():
    assert len(set(ask(50, 50).tolist())) == 50
    assert (ask(50, 10, seed=1) == ask(50, 10, seed=1)).all()
    drawn = np.bincount(np.concatenate([ask(10, 3, seed=seed) for seed in range(2000)]), minlength=10)
    assert drawn.min() > 520
    assert drawn.max() < 680


@pytest.mark.parametrize("k", [0, 11])
def test_labels_that_the_target_does_not_have_are_refused(k):
    with pytest.raises(BadInput, match="ask for 1 to 10 labels"):
        ask(10, k)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 100))
def test_a_stratified_draw_has_k_examples_and_two_of_each_class(sizes, more):
    predicted = np.repeat(np.arange(len(sizes)), sizes)
    k = min(2 * len(sizes) + more, sum(sizes))
    rows = ask_by_class(predicted, k)
    assert len(rows) == len(set(rows.tolist())) == k
    assert (np.bincount(predicted[rows], minlength=len(sizes)) >= np.minimum(sizes, 2)).all()


def test_too_few_labels_for_the_classes_are_refused():
    with pytest.raises(BadInput, match="3 predicted classes need 6 labels"):
        ask_by_class(np.arange(12) % 3, 5)


def test_a_stratified_audit_weights_classes_by_their_shares():
    of_all = np.array([0] * 90 + [1] * 10)
    right, predicted = np.array([True, True, False, False]), np.array([0, 0, 1, 1])
    found = audit_by_class(right, predicted, of_all)
    assert found.accuracy == pytest.approx(0.9)
    assert found.low < 0.75  # two right examples of a class do not make it certain


def test_a_stratified_interval_holds_the_truth():
    rng = np.random.default_rng(0)
    of_all = rng.choice(4, 3000, p=[0.6, 0.3, 0.08, 0.02])
    right = rng.random(3000) < np.array([0.95, 0.8, 0.4, 0.1])[of_all]
    found = []
    for seed in range(300):
        rows = ask_by_class(of_all, 60, seed=seed)
        found.append(audit_by_class(right[rows], of_all[rows], of_all))
    assert abs(np.mean([one.accuracy for one in found]) - right.mean()) < 0.01
    assert np.mean([one.low <= right.mean() <= one.high for one in found]) > 0.93


def test_a_predicted_class_without_a_label_is_refused():
    with pytest.raises(BadInput, match="has no label"):
        audit_by_class(np.array([True]), np.array([0]), np.array([0, 1]))


def test_errors_of_numbers_by_hand():
    found = audit_numbers(np.array([1.0, 2.0, 5.0]), np.array([1.0, 3.0, 5.0]))
    assert found.mae == pytest.approx(1 / 3)
    assert found.r2 == pytest.approx(1 - (1 / 3) / np.var([1, 3, 5]))
    assert found.mae_interval.low >= 0


def test_intervals_of_errors_of_numbers_hold_the_truth():
    mae, r2 = np.sqrt(2 / np.pi), 1 - 1 / 4
    found = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        truth = 2 * rng.normal(size=60)
        guessed = truth + rng.normal(size=60)
        found.append(audit_numbers(guessed, truth, draws=300, seed=seed))
    assert np.mean([one.mae_interval.low <= mae <= one.mae_interval.high for one in found]) > 0.9
    assert np.mean([one.r2_interval.low <= r2 <= one.r2_interval.high for one in found]) > 0.88


def test_equal_numbers_have_no_r2():
    found = audit_numbers(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    assert (found.r2, found.r2_interval) == (None, None)


def test_one_number_is_refused():
    with pytest.raises(BadInput, match="two labels or more"):
        audit_numbers(np.array([1.0]), np.array([1.0]))
