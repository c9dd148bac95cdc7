import os
from pathlib import Path

import numpy as np
import pytest

from acclimate.training import cache


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def never():
    raise AssertionError("it was computed again")


def test_what_is_kept_is_not_computed_again():
    cache.array("a", lambda: np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(cache.array("a", never), [[0, 1, 2], [3, 4, 5]])


def test_another_key_is_another_array():
    cache.array("a", lambda: np.zeros(2))
    np.testing.assert_array_equal(cache.array("b", lambda: np.ones(2)), [1, 1])


def test_a_torn_file_is_computed_anew(folder):
    cache.array("a", lambda: np.arange(100))
    (folder / "a.npy").write_bytes((folder / "a.npy").read_bytes()[:90])
    np.testing.assert_array_equal(cache.array("a", lambda: np.ones(3)), [1, 1, 1])


def test_the_longest_unused_goes_first(folder, monkeypatch):
    monkeypatch.setenv("ACCLIMATE_CACHE_GB", "3e-6")  # 3 000 bytes, and each array takes 1 128
    for age, key in ((300, "old"), (200, "older but used")):
        cache.array(key, lambda: np.zeros(125))
        os.utime(folder / f"{key}.npy", (1e9 - age, 1e9 - age))
    cache.array("older but used", never)
    cache.array("new", lambda: np.zeros(125))
    assert {entry.path.stem for entry in cache.entries()} == {"older but used", "new"}


def test_what_is_alone_larger_than_the_bound_is_kept(monkeypatch):
    monkeypatch.setenv("ACCLIMATE_CACHE_GB", "1e-9")
    cache.array("a", lambda: np.zeros(125))
    cache.array("a", never)


def test_where_nothing_can_be_written_it_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path / "file" / "below"))
    np.testing.assert_array_equal(cache.array("a", lambda: np.ones(2)), [1, 1])


def test_nothing_half_written_is_left(folder):
    cache.array("a", lambda: np.zeros(2))
    assert [path.name for path in Path(folder).iterdir()] == ["a.npy"]


def test_clear_removes_all():
    cache.array("a", lambda: np.zeros(2))
    assert cache.clear() > 0
    assert cache.entries() == []
