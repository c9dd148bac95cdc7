import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.methods.shallow.subspace_alignment import SubspaceAlignment

sizes = st.tuples(st.integers(8, 30), st.integers(8, 30), st.integers(1, 6), st.integers(0, 999))


def domains(n_s, n_t, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_s, d)) @ rng.normal(size=(d, d)) + 3, rng.normal(size=(n_t, d))


def directions(rows, p):
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
    return vectors[:, np.argsort(values)[::-1][:p]]


@given(sizes, st.integers(1, 6))
def test_it_is_the_papers_formula_but_for_signs(size, p):
    source, target = domains(*size)
    p_s, p_t = directions(source, p), directions(target, p)
    method = SubspaceAlignment(n_components=p).fit(source, X_target=target)
    expected = (source - source.mean(0)) @ p_s @ p_s.T @ p_t
    np.testing.assert_allclose(abs(method.transform_source(source)), abs(expected), atol=1e-8)
    np.testing.assert_allclose(abs(method.transform(target)), abs((target - target.mean(0)) @ p_t), atol=1e-8)


@pytest.mark.parametrize("p", [1, 3, 5])
def test_it_equals_skadas(skada, p):
    source, target = domains(50, 30, 5, 0)
    theirs = skada.SubspaceAlignmentAdapter(n_components=p)
    mapped = theirs.fit_transform(np.r_[source, target], sample_domain=np.repeat([1, -2], [50, 30]))
    ours = SubspaceAlignment(n_components=p).fit(source, X_target=target)
    np.testing.assert_allclose(ours.transform_source(source), mapped[:50], atol=1e-9)
    np.testing.assert_allclose(ours.transform(target), mapped[50:], atol=1e-9)


def test_no_more_directions_than_rows_or_columns():
    source, target = domains(30, 4, 6, 0)
    assert SubspaceAlignment().fit_transform(source, X_target=target).shape == (30, 4)
