import json

import numpy as np
import pytest

from acclimate.training import cache


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path))
    cache.array("features", lambda: np.zeros(1000))


def test_it_shows_the_cached_files(acclimate):
    result = json.loads(acclimate("cache", "--json").out)
    assert [file["size"] for file in result["files"]] == [8160]  # 8000 of numbers, 128 of header, 32 of checksum


def test_it_shows_size_and_limit(acclimate):
    assert acclimate("cache").out.endswith("0.0 of 10000 MB\n")


def test_it_clears(acclimate):
    assert acclimate("cache", "--clear").code == 0
    assert cache.entries() == []


@pytest.mark.parametrize("arguments", [["--clear"], []], ids=["clear", "show"])
def test_a_folder_of_other_files_is_refused_in_one_line(acclimate, tmp_path, monkeypatch, arguments):
    (tmp_path / "mine").mkdir()
    np.save(tmp_path / "mine" / "labels.npy", np.zeros(3))
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path / "mine"))
    result = acclimate("cache", *arguments)
    assert (result.code, result.out, len(result.lines)) == (2, "", 1)
    assert "mine: not an Acclimate cache (contains 'labels.npy'); set ACCLIMATE_CACHE" in result.lines[0]
    assert (tmp_path / "mine" / "labels.npy").is_file()
