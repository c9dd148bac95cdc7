import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from acclimate.validators.estimate.confidence import difference_of_confidences
from acclimate.validators.estimate.cot import apportioned, cot, transport_cost


def linear_programme(p, shares):
    """The transport cost as a linear programme over all of the plan."""
    n, k = p.shape
    rows, columns = np.kron(np.eye(n), np.ones(k)), np.kron(np.ones(n), np.eye(k))
    cost = np.stack([np.abs(p - np.eye(k)[y]).sum(1) / 2 for y in range(k)], 1)
    return linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([np.full(n, 1 / n), shares])).fun


@pytest.mark.parametrize("k", [2, 3, 7])
def test_the_cost_is_that_of_the_linear_programme(k):
    rng = np.random.default_rng(k)
    p, counts = rng.dirichlet(np.ones(k), 40), rng.multinomial(40, np.ones(k) / k)
    assert transport_cost(p, counts / 40) == pytest.approx(linear_programme(p, counts / 40))


def test_three_outputs_by_hand():
    target = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])  # with labels 0, 0, 1 the cost is (.1 + .2 + .6) / 3
    source, labels = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 0, 1])
    assert cot(source, labels, target) == pytest.approx(0.7)


def test_overconfidence_on_the_source_is_taken_off():
    source, labels = np.array([[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4), np.array([0, 0, 0, 1, 1, 1, 1, 0])
    assert cot(source, labels, source) == pytest.approx(0.75)


def test_predicting_one_class_alone_costs_the_share_of_the_others():
    source, labels = np.eye(2)[[0, 1] * 10], np.array([0, 1] * 10)
    assert cot(source, labels, np.eye(2)[np.zeros(30, int)]) == pytest.approx(0.5)


@given(st.integers(0, 10**6))
def test_it_is_never_above_doc(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.dirichlet(np.ones(3), 20), rng.dirichlet(np.ones(3), 50)
    labels = rng.integers(3, size=20)
    assert cot(source, labels, target, largest=100) <= difference_of_confidences(source, labels, target) + 1e-9


def test_a_sample_of_many_examples_estimates_the_same():
    rng = np.random.default_rng(0)
    target, source = rng.dirichlet([0.3, 0.3], 4000), rng.dirichlet([0.2, 0.2], 500)
    labels = source.argmax(1)
    assert abs(cot(source, labels, target, largest=300) - cot(source, labels, target, largest=1000)) < 0.03


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=9), st.integers(1, 50))
def test_apportioned_counts_sum_to_n_and_are_off_by_less_than_one(weights, n):
    shares = np.array(weights) / sum(weights)
    counts = apportioned(shares, n)
    assert counts.sum() == n
    assert np.abs(counts - shares * n).max() < 1
