import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize
from scipy.spatial.distance import cdist

from acclimate.errors import BadInput
from acclimate.methods.shallow.kernel_mean_matching import KernelMeanMatching

sizes = st.tuples(st.integers(3, 12), st.integers(2, 12), st.integers(0, 999))


def domains(n_s, n_t, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_s, 2)), rng.normal(0.5, 1.5, size=(n_t, 2))


def kernels(source, target, gamma=2.0):
    k, across = (np.exp(-gamma * cdist(source, rows) ** 2) for rows in (source, target))
    return k, len(source) * across.mean(1)


@given(sizes, st.sampled_from([1.5, 1000.0]), st.sampled_from([0.0, 0.1, 0.5]))
def test_it_is_the_quadratic_programs_solution(size, bound, eps):
    source, target = domains(*size)
    k, kappa = kernels(source, target)
    n = len(k)
    oracle = minimize(
        lambda b: (b @ k @ b / 2 - kappa @ b) / n,
        np.ones(n),
        jac=lambda b: (k @ b - kappa) / n,
        method="SLSQP",
        bounds=[(0, bound)] * n,
        constraints=LinearConstraint(np.ones((1, n)), n * (1 - eps), n * (1 + eps)),
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    weights = KernelMeanMatching(gamma=2.0, bound=bound, eps=eps).fit(source, X_target=target).weights_
    np.testing.assert_allclose(weights, oracle.x, atol=1e-5)


def test_it_equals_skadas(skada):
    source, target = domains(40, 30, 0)
    theirs = skada.KMMReweightAdapter(gamma=5.0, solver="scipy", tol=1e-14, max_iter=10_000)
    theirs.fit(np.r_[source, target], sample_domain=np.repeat([1, -2], [40, 30]))
    ours = KernelMeanMatching(gamma=5.0).fit(source, X_target=target)
    np.testing.assert_allclose(ours.weights_, theirs.source_weights_, atol=1e-6)


def test_weighted_means_match_where_the_source_covers_the_target():
    rng = np.random.default_rng(0)
    source, target = rng.normal(0, 2, size=(300, 2)), rng.normal(0.5, 1, size=(300, 2))
    weights = KernelMeanMatching().fit(source, X_target=target).weights_
    np.testing.assert_allclose(np.average(source, axis=0, weights=weights), target.mean(0), atol=0.02)
    assert np.linalg.norm(source.mean(0) - target.mean(0)) > 0.3


def test_a_bound_that_the_sum_cannot_reach_is_refused():
    with pytest.raises(BadInput, match="cannot have a mean of"):
        KernelMeanMatching(bound=0.5, eps=0.1).fit(*domains(9, 8, 0)[:1])
