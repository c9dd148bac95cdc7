"""Files that are whole or not there: written beside and renamed."""

import errno
import os
import stat
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
    partial.unlink(missing_ok=True)  # of a process that was killed and had the same number
    try:
        mode = usual_mode(partial)
        write(partial)
        settle(partial, mode)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


LONGEST_NAME = 255
"""Bytes that common file systems allow a name."""


def check_name(path: str | Path) -> None:
    """Refuse a path that no file can have, or that cannot be written down in UTF-8.

    Raises:
        BadInput: It has a NUL, a name of more than 255 bytes, or bytes that are not UTF-8.
    """
    text = str(path)
    shown = text if len(text) <= 80 else f"{text[:60]}…"
    if "\0" in text:
        raise BadInput(f"{shown}: the path contains a zero byte; correct it")
    try:
        names = text.encode().split(b"/")
    except UnicodeEncodeError as error:
        raise BadInput(f"{shown}: the name is not UTF-8; rename the file or folder") from error
    if max(map(len, names)) > LONGEST_NAME:
        raise BadInput(f"{shown}: a name in the path is longer than {LONGEST_NAME} bytes; choose a shorter one")


@contextmanager
def explain_paths(path: str | Path) -> Iterator[None]:
    """Turn what the system says of a path that cannot be into one line.

    Raises:
        BadInput: The block cannot look at the path.
    """
    check_name(path)
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path!s:.80}: cannot be opened ({error.strerror}); check the path") from error


def expand(path: str | Path) -> Path:
    """Return a path with ``~`` in the place of the home folder replaced, as a shell does where it is not quoted.

    Raises:
        BadInput: There is no such user, or no file can have that name.
    """
    check_name(path)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise BadInput(f"{path}: no home folder of that user; give the folder's full path") from error


def usual_mode(path: Path) -> int:
    """The permissions of a new file at ``path``, where none is: what the umask leaves."""
    with path.open("xb") as new:
        mode = stat.S_IMODE(os.fstat(new.fileno()).st_mode)
    path.unlink()
    return mode


def settle(path: Path, mode: int) -> None:
    """Give a new file its permissions, and wait until the disk holds it, so that a rename names a whole file.

    safetensors writes files that nobody else may read.
    """
    path.chmod(mode)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def append_whole(path: Path, content: bytes) -> None:
    """Append to a file in one call of the system, or leave it as it was.

    Raises:
        OSError: Not all could be written.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        before = os.fstat(file).st_size
        try:
            if os.write(file, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


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
        mend = "allow this user to write there" if isinstance(error, PermissionError) else "free space"
        raise BadInput(f"{path}: cannot be written ({why}); {mend}, or choose another -o") from error
