import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import fractional_matrix_power, sqrtm

from acclimate.errors import BadInput
from acclimate.methods.shallow.coral import CORAL

sizes = st.tuples(st.integers(2, 30), st.integers(2, 30), st.integers(1, 6), st.integers(0, 999))


def domains(n_s, n_t, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_s, d)) @ rng.normal(size=(d, d)) + 3, rng.normal(size=(n_t, d))


@given(sizes)
def test_it_is_the_papers_formula(size):
    source, target = domains(*size)
    c_s, c_t = (np.atleast_2d(np.cov(x, rowvar=False)) + np.eye(x.shape[1]) for x in (source, target))
    expected = source @ fractional_matrix_power(c_s, -0.5) @ sqrtm(c_t)
    mapped = CORAL(center=False).fit_transform(source, X_target=target)
    np.testing.assert_allclose(mapped, expected, rtol=1e-7, atol=1e-9)


@given(sizes)
def test_without_ridge_the_mapped_source_has_the_targets_mean_and_covariance(size):
    source, target = domains(size[0] + 10, *size[1:])
    mapped = CORAL(reg=0).fit_transform(source, X_target=target)
    np.testing.assert_allclose(mapped.mean(0), target.mean(0), atol=1e-8)
    np.testing.assert_allclose(np.cov(mapped.T), np.cov(target.T), atol=1e-6)


def test_it_equals_skadas_but_for_where_zero_is(skada):
    source, target = domains(50, 50, 5, 0)
    domain = np.repeat([1, -2], 50)
    theirs = skada.CORALAdapter(reg=None).fit_transform(np.r_[source, target], sample_domain=domain)
    ours = CORAL(reg=0).fit(source, X_target=target)
    mean = target.mean(0)
    np.testing.assert_allclose(ours.transform_source(source) - mean, theirs[:50], atol=1e-9)
    np.testing.assert_allclose(ours.transform(target) - mean, theirs[50:], atol=1e-9)


def test_a_singular_covariance_is_refused_with_advice():
    source, target = domains(4, 9, 6, 0)
    with pytest.raises(BadInput, match="use a positive reg"):
        CORAL(reg=0).fit(source, X_target=target)
