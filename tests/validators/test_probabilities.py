"""Validators that look at probabilities alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from acclimate import validators
from acclimate.validators.candidate import Candidate
from acclimate.validators.ranks import ranks
from acclimate.validators.snd import TEMPERATURE

ONE_HOT, EVEN = np.eye(4)[np.arange(12) % 4], np.full((12, 4), 0.25)
ONE_CLASS = np.eye(4)[np.zeros(12, int)]


def score(name, target, source=None, labels=None):
    source = np.eye(target.shape[1]) if source is None else source
    labels = np.arange(len(source)) if labels is None else labels
    return validators.get(name)().score(Candidate("dann", source, labels, target))


@st.composite
def probabilities(draw):
    n, k = draw(st.integers(2, 12)), draw(st.integers(2, 5))
    raw = draw(arrays(np.float64, (n, k), elements=st.floats(0, 1))) + 1e-3
    return raw / raw.sum(1, keepdims=True)


BOUNDS = {
    "entropy": lambda n, k: (-np.log(k), 0),
    "information_maximisation": lambda n, k: (0, np.log(k)),
    "bnm": lambda n, k: (0, 1),
    "snd": lambda n, k: (0, np.log(n - 1)),
}


@pytest.mark.parametrize("name", BOUNDS)
@settings(max_examples=30, deadline=None)
@given(p=probabilities(), seed=st.integers(0, 99))
def test_a_score_is_within_bounds_and_the_order_of_rows_and_classes_does_not_matter(name, p, seed):
    low, high = BOUNDS[name](*p.shape)
    rng = np.random.default_rng(seed)
    found = score(name, p)
    assert low - 1e-6 <= found <= high + 1e-6
    assert score(name, rng.permutation(rng.permutation(p), axis=1)) == pytest.approx(found, abs=1e-6)


def test_entropy_by_hand():
    assert score("entropy", np.array([[0.5, 0.5], [1, 0]])) == pytest.approx(-np.log(2) / 2)


@pytest.mark.parametrize(("p", "value"), [(ONE_HOT, np.log(4)), (EVEN, 0), (ONE_CLASS, 0)])
def test_information_maximisation_wants_confidence_and_diversity(p, value):
    assert score("information_maximisation", p) == pytest.approx(value)


def test_information_maximisation_is_the_mutual_information_of_the_joint_distribution():
    p = np.array([[0.7, 0.3], [0.1, 0.9], [0.5, 0.5]])
    joint = p / 3
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    assert score("information_maximisation", p) == pytest.approx((joint * np.log(joint / product)).sum())


@pytest.mark.parametrize(("p", "value"), [(ONE_HOT, 1), (EVEN, 1 / 4), (ONE_CLASS, 1 / 2)])
def test_bnm_of_the_extremes(p, value):
    assert score("bnm", p) == pytest.approx(value)


@pytest.mark.parametrize("n", [3, 30])
def test_bnm_is_numpys_nuclear_norm(n):
    p = np.random.default_rng(0).dirichlet(np.ones(5), n)
    assert score("bnm", p) == pytest.approx(np.linalg.norm(p, "nuc") / np.sqrt(n * min(n, 5)))


def test_snd_by_loops():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    entropies = []
    for i in range(6):
        others = [j for j in range(6) if j != i]
        near = [np.exp(p[i] @ p[j] / np.linalg.norm(p[i]) / np.linalg.norm(p[j]) / TEMPERATURE) for j in others]
        entropies.append(-sum(s / sum(near) * np.log(s / sum(near)) for s in near))
    assert score("snd", p) == pytest.approx(np.mean(entropies))


def test_snd_is_largest_for_one_class():
    assert score("snd", ONE_CLASS) == pytest.approx(np.log(11))
    assert score("snd", ONE_CLASS) > score("snd", ONE_HOT)


def test_source_accuracy_by_hand():
    source = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert score("source_accuracy", source, source, np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_ensv_is_agreement_with_the_mean_of_the_pool():
    of_models = [np.array([[a, 1 - a], [b, 1 - b]]) for a, b in [(0.9, 0.9), (0.8, 0.4), (0.1, 0.3)]]
    pool = [Candidate(m, np.eye(2), np.arange(2), p) for m, p in zip(["dann", "cdan", "dan"], of_models, strict=True)]
    assert [s.value for s in validators.get("ensv")().scores(pool)] == [1, 0.5, 0]  # the mean: .6 and .533


def test_in_ensv_a_method_with_many_settings_has_one_voice():
    no, yes = np.array([[0.3, 0.7]]), np.array([[0.9, 0.1]])  # of the models the mean is .45, of the methods .6
    pool = [Candidate(m, np.eye(2), np.arange(2), no if m == "mcc" else yes) for m in ["mcc", "mcc", "mcc", "dann"]]
    assert [s.value for s in validators.get("ensv")().scores(pool)] == [0, 0, 0, 1]


@given(st.lists(st.integers(0, 5) | st.just(np.nan), min_size=1, max_size=8))
def test_a_rank_is_the_share_of_the_others_that_are_less(values):
    for i, rank in enumerate(ranks(values)):
        others = [v for j, v in enumerate(values) if j != i and not np.isnan(v)]
        beaten = np.mean([(values[i] > v) + 0.5 * (values[i] == v) for v in others]) if others else 0.5
        assert np.isnan(values[i]) if np.isnan(rank) else rank == pytest.approx(beaten)
