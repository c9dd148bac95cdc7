"""Files that are whole or not there: written beside and renamed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from acclimate.errors import BadInput

DISK_WORDS = ("os error", "I/O error", "No space left", "File too large", "PytorchStreamWriter", "inline_container")
"""What safetensors, torch and polars say when the disk fails, in errors that are not an `OSError`."""

Write = Callable[[Path], object]
"""Writes a file at a path."""


def partial_path(target: Path) -> Path:
    """The temporary name of a file that this process writes."""
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def write_atomically(target: Path, write: Write) -> None:
    """Have ``write`` make a file at a temporary name beside ``target``, then rename it.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(target)
    try:
        write(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def explain_disk_errors(path: Path) -> Iterator[None]:
    """Turn a failure of the disk into one line that a person can act on.

    Raises:
        BadInput: The block failed to write.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and not any(words in str(error) for words in DISK_WORDS):
            raise
        why = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise BadInput(f"{path}: cannot be written ({why}); free space, or choose another -o") from error
