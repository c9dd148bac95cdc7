"""What was computed once and is kept on disk for other runs: named by its content, bounded in size."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

log = logging.getLogger("acclimate")

PLACE, MOST = "ACCLIMATE_CACHE", "ACCLIMATE_CACHE_GB"
"""Environment variables: the folder, and how many GB it may take."""
USUAL_GB = 10.0


class Entry(NamedTuple):
    """One file of the cache: its size in bytes, and when it was last used, in seconds since 1970."""

    path: Path
    size: int
    used: float


def folder() -> Path:
    """Where the cache lies."""
    given = os.environ.get(PLACE)
    return Path(given) if given else user_cache_path("acclimate")


def most() -> int:
    """How many bytes it may take."""
    try:
        return int(float(os.environ.get(MOST, USUAL_GB)) * 1e9)
    except ValueError:
        return int(USUAL_GB * 1e9)


def entries() -> list[Entry]:
    """What is in it, the latest used first."""
    found = [(path, path.stat()) for path in folder().glob("*.npy")] if folder().is_dir() else []
    return sorted((Entry(path, s.st_size, s.st_mtime) for path, s in found), key=lambda entry: -entry.used)


def clear() -> int:
    """Remove all of it; how many bytes that were."""
    gone = entries()
    for entry in gone:
        entry.path.unlink(missing_ok=True)
    return sum(entry.size for entry in gone)


def array(key: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array of that name, mapped from disk; computed and kept if it is not there.

    Where nothing can be written, it is computed and not kept.

    Args:
        key: Tells all that the array depends on.
        compute: Gives it.
    """
    path = folder() / f"{key}.npy"
    if (kept := _kept(path)) is not None:
        return kept
    values = compute()
    try:
        _write(path, values)
    except OSError as error:
        log.warning("%s: the cache cannot be written (%s); it is done without", folder(), error.strerror)
        return values
    _shrink(path)
    return values


def _kept(path: Path) -> NDArray[Any] | None:
    try:
        values: NDArray[Any] = np.load(path, mmap_mode="c")  # a mapping that is read alone is no tensor's memory
        os.utime(path)
    except (OSError, ValueError):
        return None
    return values


def _write(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.save(file, values)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _shrink(newest: Path) -> None:
    """Remove what was not used for longest, until the rest is small enough; the newest stays."""
    total = 0
    for entry in entries():
        total += entry.size
        if total > most() and entry.path != newest:
            entry.path.unlink(missing_ok=True)
