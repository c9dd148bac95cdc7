import numpy as np

from acclimate.validators.estimate.atc import atc, atc_confidence, atc_negative_entropy, threshold


def calibrated(n, seed):
    """Predictions that are right as often as they say."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.5, 1, n)
    p = np.stack([sure, 1 - sure], 1)
    return p, (rng.random(n) > sure).astype(int)


def test_without_shift_it_says_the_accuracy():
    p, y = calibrated(20_000, 0)
    q, z = calibrated(20_000, 1)
    assert abs(atc(p, y, q, draws=20).accuracy - (q.argmax(1) == z).mean()) < 0.01


def test_as_many_stay_below_the_threshold_as_are_wrong():
    confidence, right = np.array([0.9, 0.6, 0.7, 0.8]), np.array([True, False, True, True])
    assert (confidence < threshold(confidence, right)).sum() == 1


def test_all_wrong_on_the_source_estimates_nothing_right():
    p, _ = calibrated(50, 0)
    assert atc(p, p.argmin(1), p, draws=5).accuracy == 0


def test_bounds_hold_the_estimate_between_them():
    p, y = calibrated(100, 0)
    found = atc(p, y, calibrated(100, 1)[0])
    assert found.low <= found.accuracy <= found.high
    assert found.high - found.low > 0.02


def test_bounds_hold_the_accuracy_in_most_samples():
    worlds = [(calibrated(300, 2 * seed), calibrated(300, 2 * seed + 1)[0]) for seed in range(30)]
    found = [atc(*of_source, target, draws=100) for of_source, target in worlds]
    assert sum(one.low <= 0.75 <= one.high for one in found) >= 26  # confidence is uniform from 0.5 to 1


def test_of_equal_largest_probabilities_the_lower_entropy_is_surer():
    surer, less_sure = [0.5, 0.5, 0.0], [0.5, 0.25, 0.25]
    source = np.array([surer, less_sure])
    assert atc(source, np.array([0, 1]), np.array([less_sure] * 4), draws=1).accuracy == 0


def test_atc_and_its_negative_entropy_variant_rank_by_their_own_score():
    by_confidence, by_entropy = [0.5, 0.3, 0.2], [0.48, 0.48, 0.04]  # the surer of the two depends on the score
    source, target = np.array([by_confidence, by_entropy]), np.array([by_confidence] * 3 + [by_entropy])
    assert atc_confidence(source, np.array([0, 2]), target) == 0.75
    assert atc_negative_entropy(source, np.array([2, 0]), target) == 0.25
