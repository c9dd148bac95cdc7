"""One process at a time works in a folder or with a file: a lock that the system releases when its process ends."""

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from acclimate.errors import BadInput
from acclimate.files import explain_disk_errors

log = logging.getLogger("acclimate")

LOCK = "run.lock"
"""The name of the lock file."""


class Locked(BadInput):
    """Another process works in the folder, or with the file."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, and remove its file at the end.

    Raises:
        Locked: Another process holds it; the message says which, and since when.
        BadInput: The file cannot be written.
    """
    with _held(folder / LOCK, folder, "another -o"):
        yield


@contextmanager
def locked_file(path: Path, instead: str) -> Iterator[None]:
    """Hold the lock of a file, which is a hidden file beside it.

    Args:
        path: The file, which need not be there.
        instead: What to choose where it is in use.

    Raises:
        Locked: Another process holds it; the message says which, and since when.
        BadInput: The lock cannot be written.
    """
    with _held(path.with_name(f".{path.name}.lock"), path, instead):
        yield


@contextmanager
def _held(path: Path, what: Path, instead: str) -> Iterator[None]:
    with explain_disk_errors(path):
        file = _acquired(path, what, instead)
    try:
        yield
    finally:
        with suppress(OSError):  # the folder may be gone
            path.unlink()
        file.close()


def _acquired(path: Path, what: Path, instead: str) -> IO[str]:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _lock(file, what, instead)
            if _is_at(file, path):
                file.truncate(0)
                since = time.strftime("%Y-%m-%d %H:%M:%S")
                file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}")
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its last holder removed it while this process opened it


def _lock(file: IO[str], what: Path, instead: str) -> None:
    if sys.platform == "win32":
        return  # it has no flock: the file names the process, but nothing keeps a second one out
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(200) or "another process"
        raise Locked(f"{what}: in use by {holder}; wait until it ends, or choose {instead}") from None
    except OSError as error:
        log.warning("%s: this file system has no locks (%s); start no second process here", file.name, error.strerror)


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
