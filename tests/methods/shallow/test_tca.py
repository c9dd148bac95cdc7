import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eig
from scipy.spatial.distance import cdist

from acclimate.errors import BadInput
from acclimate.methods.shallow.tca import TCA

sizes = st.tuples(st.integers(8, 25), st.integers(8, 25), st.integers(2, 5), st.integers(0, 999))


def domains(n_s, n_t, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_s, d)), rng.normal(1, 2, size=(n_t, d))


def matrices(source, target, gamma):
    rows, n_s, n_t = np.r_[source, target], len(source), len(target)
    k, h = np.exp(-gamma * cdist(rows, rows) ** 2), np.eye(n_s + n_t) - 1 / (n_s + n_t)
    within = [np.full((n_s, n_s), n_s**-2.0), np.full((n_t, n_t), n_t**-2.0)]
    across = np.full((n_s, n_t), -1 / (n_s * n_t))
    return k, k @ np.block([[within[0], across], [across.T, within[1]]]) @ k, k @ h @ k


@given(sizes, st.floats(0.05, 5))
def test_components_are_the_leading_eigenvectors_of_the_papers_matrix(size, mu):
    source, target = domains(*size)
    method = TCA(n_components=3, mu=mu, gamma=0.3).fit(source, X_target=target)
    _, klk, khk = matrices(source, target, 0.3)
    leading = np.sort(eig(np.linalg.solve(klk + mu * np.eye(len(klk)), khk))[0].real)[::-1][:3]
    w = method.components_
    np.testing.assert_allclose(khk @ w, (klk @ w + mu * w) * leading, rtol=1e-6, atol=1e-6)


@given(sizes)
def test_the_constraint_holds_and_rows_are_mapped_by_their_kernel(size):
    source, target = domains(*size)
    method = TCA(n_components=4, gamma=0.3).fit(source, X_target=target)
    k, _, khk = matrices(source, target, 0.3)
    np.testing.assert_allclose(method.components_.T @ khk @ method.components_, np.eye(4), atol=1e-7)
    np.testing.assert_allclose(method.transform(target), (k @ method.components_)[len(source) :], atol=1e-9)


def test_a_low_price_brings_the_domains_means_together():
    source, target = domains(60, 50, 4, 0)

    def gap(mu):
        method = TCA(n_components=3, mu=mu).fit(source, X_target=target)
        return np.linalg.norm(method.transform_source(source).mean(0) - method.transform(target).mean(0))

    assert gap(1e-3) < gap(1) < gap(1e3)


def test_a_linear_kernel_has_no_more_components_than_columns():
    source, target = domains(30, 20, 3, 0)
    assert TCA(kernel="linear").fit_transform(source, X_target=target).shape == (30, 3)


@pytest.mark.parametrize(
    ("rows", "mu", "message"), [(np.eye(4), 0, "must be positive"), (np.ones((4, 2)), 1, "rows are equal")]
)
def test_what_has_no_components_is_refused(rows, mu, message):
    with pytest.raises(BadInput, match=message):
        TCA(mu=mu).fit(rows)
