"""Tests of whole examples: by a classifier, by a kernel, and the proxy A-distance."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel

from acclimate.shift import kernel, two_sample
from acclimate.shift.proxy_distance import proxy_a_distance


def normal(n, d=3, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_ranks_are_scipys():
    scores, y = np.array([1.0, 2, 2, 3, 3, 5, 8]), np.array([0, 0, 1, 0, 1, 1, 1])
    excess, variance, pairs = two_sample.mann_whitney(scores, y)
    found = mannwhitneyu(
        scores[y == 1], scores[y == 0], alternative="greater", use_continuity=False, method="asymptotic"
    )
    assert excess + pairs / 2 == found.statistic
    assert 1 - two_sample.norm.cdf(excess / variance**0.5) == pytest.approx(found.pvalue)


def test_no_fold_scores_its_own_examples(monkeypatch):
    seen = []
    monkeypatch.setattr(
        two_sample, "_log_odds", lambda x, y, new: seen.append((set(x[:, 0]), set(new[:, 0]))) or new[:, 0]
    )
    x, y = np.arange(40.0)[:, None], np.repeat([0, 1], 20)
    found = two_sample.cross_fitted(x, y, 4)
    assert all(not learnt & scored for learnt, scored in seen)
    assert found.auc == roc_auc_score(y, x[:, 0]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(30, 3), (60, 200)])
def test_a_classifier_raises_few_false_alarms(n, d):
    p = [two_sample.classifier_test(normal(n, d, seed=i), normal(n, d, seed=1000 + i)).p for i in range(100)]
    assert np.mean(np.array(p) < 0.05) <= 0.1  # 5 %, and 2.3 standard errors


def test_a_classifier_finds_what_only_trees_see():
    a, b = normal(300), normal(300, seed=1)
    b[:, 1] *= 2.5
    found = two_sample.classifier_test(a, b)
    assert found.p < 0.001
    assert found.accuracy > 0.6


def test_the_kernel_estimate_is_the_sum_over_pairs():
    a, b = normal(7), normal(5, shift=1, seed=1)
    k = rbf_kernel(np.concatenate([a, b]), gamma=1 / (2 * 1.5**2))
    aa, bb, ab = k[:7, :7], k[7:, 7:], k[:7, 7:]
    expected = (aa.sum() - 7) / 42 + (bb.sum() - 5) / 20 - 2 * ab.mean()
    found, _ = kernel.permuted(kernel.gaussian(np.concatenate([a, b]), 1.5), 7, 9, np.random.default_rng(0))
    assert found == pytest.approx(expected)


def test_a_kernel_raises_few_false_alarms():
    p = [kernel.kernel_test(normal(30, seed=i), normal(40, seed=1000 + i), permutations=99).p for i in range(200)]
    assert np.mean(np.array(p) < 0.05) < 0.09


def test_a_kernel_finds_a_change_of_spread():
    found = kernel.kernel_test(normal(100), 2 * normal(100, seed=1))
    assert found.p < 0.001
    assert found.auc > 0.6


def test_blocks_take_over_with_many_examples(monkeypatch):
    monkeypatch.setattr(kernel, "MOST", 200)
    p = [kernel.kernel_test(normal(400, seed=i), normal(400, seed=500 + i)).p for i in range(60)]
    assert 0.2 < np.mean(p) < 0.8
    assert kernel.kernel_test(normal(2000), normal(2000, shift=0.3, seed=1)).p < 0.001


def test_beyond_the_permutations_the_p_value_still_falls():
    p = [kernel.kernel_test(normal(60), normal(60, shift=shift, seed=1), permutations=99).p for shift in (1, 2)]
    assert p[1] < p[0] < 0.01


def test_domains_that_differ_wholly_have_the_largest_proxy_distance():
    assert proxy_a_distance(normal(100), normal(100, shift=20)) == 2
    assert proxy_a_distance(normal(600), normal(600, seed=1)) < 0.3


def test_the_proxy_distance_follows_from_the_error_of_the_best_line():
    from scipy.stats import norm

    a, b = normal(2000, 1), normal(2000, 1, shift=2, seed=1)
    assert proxy_a_distance(a, b) == pytest.approx(2 * (1 - 2 * norm.cdf(-1)), abs=0.06)
