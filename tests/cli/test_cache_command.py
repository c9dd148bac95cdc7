import json

import numpy as np
import pytest

from acclimate.training import cache


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path))
    cache.array("features", lambda: np.zeros(1000))


def test_it_shows_what_is_kept(acclimate):
    told = json.loads(acclimate("cache", "--json").out)
    assert [file["name"] for file in told["files"]] == ["features.npy"]


def test_it_says_how_much_of_how_much(acclimate):
    assert acclimate("cache").out.endswith("0.0 of 10000 MB\n")


def test_it_clears(acclimate):
    assert acclimate("cache", "--clear").code == 0
    assert cache.entries() == []
