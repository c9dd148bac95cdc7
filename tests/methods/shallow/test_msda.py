import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.errors import BadInput
from acclimate.methods.shallow.msda import MSDA, denoiser

sizes = st.tuples(st.integers(1, 20), st.integers(1, 6), st.floats(0.1, 0.9), st.integers(0, 999))


def rows(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


@given(sizes)
def test_a_layer_is_the_papers_formula(size):
    n, d, p, seed = size
    x = np.vstack([rows(n, d, seed).T, np.ones(n)])  # as in the paper: a column a row, the bias last
    s, q = x @ x.T, np.append(np.full(d, 1 - p), 1.0)
    big_q = s * np.outer(q, q)
    np.fill_diagonal(big_q, q * np.diag(s))
    expected = (s * q)[:d] @ np.linalg.inv(big_q + 1e-5 * np.diag(np.append(np.ones(d), 0)))
    np.testing.assert_allclose(denoiser(rows(n, d, seed), p, 1e-5), expected.T, rtol=1e-5, atol=1e-7)


def test_a_layer_is_what_least_squares_on_many_corrupted_copies_comes_to():
    x, rng = rows(30, 3), np.random.default_rng(1)
    many = np.repeat(x, 20_000, axis=0)
    corrupted = np.c_[many * (rng.random(many.shape) > 0.3), np.ones(len(many))]
    expected = np.linalg.solve(corrupted.T @ corrupted, corrupted.T @ many)
    np.testing.assert_allclose(denoiser(x, 0.3, 0), expected, atol=0.01)


def test_layers_feed_each_other_and_stand_side_by_side():
    source, target = rows(9, 4), rows(7, 4, 1)
    method = MSDA(layers=2).fit(source, X_target=target)
    both = [np.vstack([source, target])]
    for _ in range(2):
        both.append(np.tanh(np.c_[both[-1], np.ones(16)] @ denoiser(both[-1], 0.5, 1e-5)))
    np.testing.assert_allclose(method.transform_source(source), np.hstack(both)[:9], rtol=1e-9)
    np.testing.assert_allclose(method.transform(target), np.hstack(both)[9:], rtol=1e-9)


def test_columns_that_are_always_zero_do_no_harm():
    assert np.isfinite(MSDA().fit_transform(np.zeros((5, 3)), X_target=np.zeros((2, 3)))).all()


@pytest.mark.parametrize("corruption", [0, 1, -0.5])
def test_corruption_is_a_probability(corruption):
    with pytest.raises(BadInput, match="must be between 0 and 1"):
        MSDA(corruption=corruption).fit(rows(5, 3))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_reviews_of_5000_words_take_less_than_4_gib(shared_data, environment):
    code = f"""
import resource
from scipy.sparse import load_npz
from acclimate.methods.shallow.msda import MSDA
books, dvd = (load_npz(r"{shared_data}/amazon_bow/" + name) for name in ("books_train.npz", "dvd_train.npz"))
print(MSDA().fit_transform(books, X_target=dvd).shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    shape, gib = done.stdout.rsplit(" ", 1)
    assert shape == "(2000, 30000)"
    assert float(gib) < 4
