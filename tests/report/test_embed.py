"""Features brought to the plane."""

import numpy as np
import pytest

from acclimate.report.embed import embed


def blobs(n: int, d: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) + 20 * (np.arange(n) % 2)[:, None]


def test_the_same_features_give_the_same_plane():
    assert np.array_equal(embed(blobs(40)).points, embed(blobs(40)).points)


def test_groups_stay_apart():
    points, how = embed(blobs(60))
    one, other = points[::2], points[1::2]
    within = np.linalg.norm(one - one.mean(0), axis=1).mean()
    assert how == "t-SNE"
    assert np.linalg.norm(one.mean(0) - other.mean(0)) > 2 * within


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11])
def test_few_rows(n):
    points, how = embed(blobs(n))
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()
    assert how == ("PCA" if n < 10 else "t-SNE")


@pytest.mark.parametrize("d", [1, 2, 700])
def test_few_and_many_features(d):
    assert np.isfinite(embed(blobs(15, d)).points).all()


def test_constant_features():
    points, how = embed(np.full((30, 4), 7.0))
    assert how == "PCA"
    assert (points == 0).all()


def test_many_rows_that_are_the_same():
    features = np.concatenate([np.zeros((60, 6)), blobs(12, 6)])
    assert np.isfinite(embed(features).points).all()


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_any_scale(scale):
    assert np.isfinite(embed(scale * blobs(20)).points).all()
