"""What was computed once and is kept on disk for other runs: named by its content, bounded in size.

A marker file says that a folder is a cache. Without it the folder is somebody else's: nothing is read, written or
removed in it. In a cache only files named as the cache names its own are ever removed.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from acclimate.errors import BadInput
from acclimate.files import write_atomically

log = logging.getLogger("acclimate")

PLACE, MOST = "ACCLIMATE_CACHE", "ACCLIMATE_CACHE_GB"
"""Environment variables: the folder, and how many GB it may take."""
USUAL_GB = 10.0

CHECKSUM = 32
"""Bytes of the checksum that follows the array in each file."""
MARKER = ".acclimate-cache"
"""The file that says that a folder is a cache."""
_NAME = re.compile(r"[0-9a-f]{32}\.npy")
_PARTIAL = re.compile(rf"\.{_NAME.pattern}\.\d+\.partial")


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
    """What is in it, the latest used first.

    Raises:
        BadInput: The folder is not a cache.
    """
    place = folder()
    if not place.is_dir():
        return []
    _check(place)
    found = [(path, path.stat()) for path in place.glob("*.npy") if _NAME.fullmatch(path.name)]
    return sorted((Entry(path, s.st_size, s.st_mtime) for path, s in found), key=lambda entry: -entry.used)


def clear() -> int:
    """Remove all entries; how many bytes that were.

    Raises:
        BadInput: The folder is not a cache.
    """
    gone = entries()
    for entry in gone:
        entry.path.unlink(missing_ok=True)
    return sum(entry.size for entry in gone)


def array(key: str, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """The array of that key, mapped from disk; computed and kept if it is not there.

    Where nothing can be kept, it is only computed.

    Args:
        key: Tells all that the array depends on.
        compute: Gives it.
    """
    place = folder()
    path = place / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    try:
        _check(place)
    except BadInput as error:
        log.warning("%s; continuing without the cache", error)
        return compute()
    if (kept := _kept(path, key)) is not None:
        return kept
    values = compute()
    try:
        _write(path, values, key)
    except OSError as error:
        log.warning("%s: the cache cannot be written (%s); continuing without the cache", place, error.strerror)
        return values
    _shrink(path)
    return values


def _check(place: Path) -> None:
    """Refuse a folder that holds something and is not a cache.

    An earlier version left no marker in the default folder, so one that holds nothing but entries is a cache.

    Raises:
        BadInput: It holds something else, or cannot be read.
    """
    names = _names(place)
    if MARKER in names:
        return
    known = place == user_cache_path("acclimate")
    strange = [name for name in names if not (known and (_NAME.fullmatch(name) or _PARTIAL.fullmatch(name)))]
    if strange:
        raise BadInput(
            f"{place}: not an Acclimate cache (contains {strange[0]!r}); set {PLACE} to a new or an empty folder"
        )


def _names(place: Path) -> list[str]:
    try:
        return sorted(path.name for path in place.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BadInput(f"{place}: cannot be read ({error.strerror}); set {PLACE} to another folder") from error


def _kept(path: Path, key: str) -> NDArray[np.float32] | None:
    """The array in a file, if the file is whole and was written for this key."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size - CHECKSUM
            found = _checksum(file, size, key)
            if size < 0 or file.read() != found:
                log.info("%s: damaged, or of an earlier version; computed again", path)
                return None
        values: NDArray[np.float32] = np.load(path, mmap_mode="c")  # a mapping that is read alone is no tensor's memory
        os.utime(path)
    except (OSError, ValueError):
        return None
    return values


def _checksum(file: IO[bytes], size: int, key: str) -> bytes:
    """What must follow the first ``size`` bytes of a file for a key; they are read from where the file is."""
    whole = hashlib.blake2b(key.encode(), digest_size=CHECKSUM)
    while size > 0 and (block := file.read(min(size, 2**20))):
        whole.update(block)
        size -= len(block)
    return whole.digest()


def _write(path: Path, values: NDArray[np.float32], key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (marker := path.parent / MARKER).exists():
        marker.write_text("Acclimate keeps <32 hex digits>.npy in this folder, and removes them.\n")

    def save(partial: Path) -> None:
        with partial.open("wb+") as file:
            np.save(file, values)
            size = file.tell()
            file.seek(0)
            checksum = _checksum(file, size, key)
            file.seek(0, os.SEEK_END)
            file.write(checksum)

    write_atomically(path, save)


def _shrink(newest: Path) -> None:
    """Remove what was not used for longest, until the rest is small enough; the newest stays."""
    total = 0
    for entry in entries():
        total += entry.size
        if total > most() and entry.path != newest:
            entry.path.unlink(missing_ok=True)
