import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ot.gaussian import empirical_bures_wasserstein_mapping

from acclimate.errors import BadInput
from acclimate.methods.shallow.linear_ot import LinearOT

sizes = st.tuples(st.integers(12, 30), st.integers(12, 30), st.integers(1, 6), st.integers(0, 999))


def domains(n_s, n_t, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_s, d)) @ rng.normal(size=(d, d)) + 3, rng.normal(size=(n_t, d))


@given(sizes)
def test_it_is_pots_mapping(size):
    source, target = domains(*size)
    a, b = empirical_bures_wasserstein_mapping(source, target, reg=1e-3)
    moved = LinearOT(reg=1e-3).fit_transform(source, X_target=target)
    np.testing.assert_allclose(moved, source @ a + b, rtol=1e-7, atol=1e-8)


def test_it_equals_skadas(skada):
    source, target = domains(50, 30, 5, 0)
    domain = np.repeat([1, -2], [50, 30])
    theirs = skada.LinearOTMappingAdapter(reg=1e-3).fit_transform(np.r_[source, target], sample_domain=domain)
    ours = LinearOT(reg=1e-3).fit(source, X_target=target)
    np.testing.assert_allclose(ours.transform_source(source), theirs[:50], atol=1e-9)
    np.testing.assert_array_equal(ours.transform(target), theirs[50:])


@given(sizes)
def test_the_moved_source_has_the_targets_mean_and_covariance(size):
    source, target = domains(*size)
    moved = LinearOT(reg=0).fit_transform(source, X_target=target)
    np.testing.assert_allclose(moved.mean(0), target.mean(0), atol=1e-8)
    np.testing.assert_allclose(np.cov(moved.T, bias=True), np.cov(target.T, bias=True), atol=1e-6)


def test_it_takes_more_columns_than_rows():
    source, target = domains(8, 9, 40, 0)
    assert np.isfinite(LinearOT().fit_transform(source, X_target=target)).all()


def test_a_singular_covariance_is_refused_with_advice():
    with pytest.raises(BadInput, match="use a positive reg"):
        LinearOT(reg=0).fit(*domains(4, 9, 6, 0)[:1])
