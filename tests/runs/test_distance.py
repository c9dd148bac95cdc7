"""How far examples are from both domains."""

import logging

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from acclimate.runs.distance import MOST, surround, warn_of_far
from acclimate.runs.run import Run


@pytest.fixture(scope="module")
def domains():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 6)), rng.normal(size=(1400, 6)) + 4


def test_few_examples_of_the_domains_themselves_are_far(domains):
    rng, known = np.random.default_rng(1), surround(domains)
    for middle in 0, 4:
        assert (known.distances(rng.normal(size=(2000, 6)) + middle) > 1).mean() < 0.02


def test_what_is_out_of_range_and_what_is_of_another_kind_is_far(domains):
    known, rng = surround(domains), np.random.default_rng(1)
    assert (known.distances(rng.normal(size=(50, 6)) - 20) > 1).all()
    assert (known.distances(rng.normal(size=(50, 6)) * 0.1 + np.array([9, -5] * 3)) > 1).all()


def test_positions_are_those_of_scikit_learn(domains):
    known, x = surround(domains), np.random.default_rng(1).normal(size=(40, 6)) * 50  # so far that position decides
    together = np.concatenate([d[:MOST] for d in domains])
    mean, scale = together.mean(0), together.std(0)
    expected = []
    for domain in ((d[:MOST] - mean) / scale for d in domains):
        near = NearestNeighbors(n_neighbors=1).fit(domain)
        own = near.kneighbors()[0][:, 0]
        expected.append(near.kneighbors((x - mean) / scale)[0][:, 0] / np.quantile(own, 0.99, method="higher"))
    np.testing.assert_allclose(known.distances(x), np.min(expected, axis=0), rtol=1e-3)


def test_a_constant_feature_and_equal_rows_do_no_harm():
    known = surround([np.ones((30, 3))])
    assert known.distances(np.array([[1.0, 1, 1], [2, 1, 1]])).tolist() == [0, pytest.approx(1e6, rel=1)]


def test_few_or_no_features_tell_nothing():
    assert surround([np.zeros((5, 3)), np.zeros((0, 0))]) is None


def test_the_usual_share_of_far_examples_is_not_told():
    assert warn_of_far(np.array([0.1] * 96 + [2.0] * 4)) == ""
    assert warn_of_far(np.array([0.1] * 94 + [2.0] * 6)).startswith("6 of 100 examples are far")
    assert warn_of_far(np.array([np.nan, np.nan])) == ""


@pytest.fixture
def run(tmp_path):
    from acclimate import adapt

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    return adapt((x, (x[:, 0] > 0).astype(int)), x[:100] + 0.5, tmp_path / "run", method="source_only", steps=2)


def test_predictions_have_their_distance_and_a_warning(run, caplog):
    near = run.predict(np.random.default_rng(1).normal(size=(200, 4)) + 0.5)
    assert (near["distance"] > 1).mean() < 0.03
    assert "far from both" not in caplog.text
    with caplog.at_level(logging.WARNING, "acclimate"):
        assert (run.predict(np.full((5, 4), 60.0))["distance"] > 1).all()
    assert "5 of 5 examples are far from both domains" in caplog.text


def test_a_run_without_features_tells_no_distance(run):
    for path in run.file("outputs").glob("target-*"):
        path.unlink()
    for path in run.file("outputs").glob("source_val-*"):
        path.unlink()
    assert Run.open(run.path).predict(np.zeros((3, 4)))["distance"].null_count() == 3
