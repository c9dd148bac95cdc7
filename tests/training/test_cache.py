import logging
import os

import numpy as np
import pytest

from acclimate.errors import BadInput
from acclimate.training import cache

OLD = f"{'0123456789abcdef' * 2}.npy"
"""A name that the cache gives."""


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


def test_a_torn_file_is_computed_anew():
    cache.array("a", lambda: np.arange(100))
    path = cache.entries()[0].path
    path.write_bytes(path.read_bytes()[:90])
    np.testing.assert_array_equal(cache.array("a", lambda: np.ones(3)), [1, 1, 1])


def swap_bytes(path, _):
    content = bytearray(path.read_bytes())
    content[200:208] = b"\xff" * 8
    path.write_bytes(content)


def another_shape(path, _):
    np.save(path, np.zeros((2, 7)))


def that_of_another_key(path, other):
    path.write_bytes(other.read_bytes())


def nothing(path, _):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [swap_bytes, another_shape, that_of_another_key, nothing])
def test_a_file_with_another_content_is_computed_again_and_replaced(damage):
    cache.array("other", lambda: np.zeros((5, 5)))
    other = cache.entries()[0].path
    cache.array("a", lambda: np.arange(25.0))
    damage(next(entry.path for entry in cache.entries() if entry.path != other), other)
    np.testing.assert_array_equal(cache.array("a", lambda: np.arange(25.0)), np.arange(25.0))
    np.testing.assert_array_equal(cache.array("a", never), np.arange(25.0))


def test_the_longest_unused_goes_first(monkeypatch):
    monkeypatch.setenv("ACCLIMATE_CACHE_GB", "3e-6")  # 3 000 bytes, and each array takes 1 128
    for age, key in ((300, "older but used"), (200, "old")):
        cache.array(key, lambda: np.zeros(125))
        os.utime(cache.entries()[0].path, (1e9 - age, 1e9 - age))
    cache.array("older but used", never)
    cache.array("new", lambda: np.zeros(125))
    cache.array("older but used", never)
    assert len(cache.entries()) == 2


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
    assert {path.name for path in folder.iterdir()} == {".acclimate-cache", cache.entries()[0].path.name}


def test_clear_removes_all():
    cache.array("a", lambda: np.zeros(2))
    assert cache.clear() > 0
    assert cache.entries() == []


def _with_foreign_arrays(folder):
    """Somebody's folder of arrays, one of them named as the cache names its own."""
    folder.mkdir()
    for name in "labels.npy", OLD:
        np.save(folder / name, np.zeros(500))
    return folder


def test_foreign_files_in_our_cache_stay(folder, monkeypatch):
    cache.array("a", lambda: np.zeros(125))
    np.save(folder / "labels.npy", np.zeros(500))
    monkeypatch.setenv("ACCLIMATE_CACHE_GB", "1e-9")
    cache.array("b", lambda: np.zeros(125))
    assert len(cache.entries()) == 1
    cache.clear()
    assert {path.name for path in folder.iterdir()} == {".acclimate-cache", "labels.npy"}


def test_a_folder_of_other_files_is_not_used(folder, monkeypatch, caplog):
    _with_foreign_arrays(folder)
    monkeypatch.setenv("ACCLIMATE_CACHE_GB", "1e-9")
    with caplog.at_level(logging.WARNING, "acclimate"):
        np.testing.assert_array_equal(cache.array("a", lambda: np.ones(2)), [1, 1])
    assert {path.name for path in folder.iterdir()} == {"labels.npy", OLD}
    assert "not an Acclimate cache (contains " in caplog.text
    assert "continuing without the cache" in caplog.text


def test_a_folder_of_other_files_is_not_cleared(folder):
    _with_foreign_arrays(folder)
    with pytest.raises(BadInput, match="not an Acclimate cache"):
        cache.clear()
    assert {path.name for path in folder.iterdir()} == {"labels.npy", OLD}


def test_an_empty_folder_becomes_a_cache(folder):
    folder.mkdir()
    cache.array("a", lambda: np.zeros(2))
    assert cache.array("a", never).shape == (2,)
    assert cache.clear() > 0


@pytest.fixture
def default_folder(folder, monkeypatch):
    """The user's own cache folder as an earlier version left it, without a marker."""
    monkeypatch.delenv("ACCLIMATE_CACHE")
    monkeypatch.setattr(cache, "user_cache_path", lambda name: folder)
    folder.mkdir()
    np.save(folder / OLD, np.zeros(125))
    (folder / f".{OLD}.17.partial").touch()
    return folder


def test_the_default_cache_of_an_earlier_version_is_adopted(default_folder):
    cache.array("a", lambda: np.zeros(2))
    assert (default_folder / ".acclimate-cache").is_file()
    assert len(cache.entries()) == 2


def test_the_default_folder_with_another_file_is_not_adopted(default_folder):
    (default_folder / "labels.npy").touch()
    with pytest.raises(BadInput, match=r"contains 'labels\.npy'"):
        cache.clear()
    assert (default_folder / OLD).is_file()
