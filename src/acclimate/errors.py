"""Errors that the user can fix: one line that says what is wrong, where, and how to fix it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

MOST_NAMES = 30
"""Most names that a message lists; it counts the rest."""


def printable(text: str) -> str:
    r"""Return the text with escapes in the place of what a terminal may act on; lines and tabs stay.

    File names, labels and other libraries' messages can contain control characters.

    Example:
        >>> printable("a\x1b[2Jb.png")
        'a\\x1b[2Jb.png'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _ACTED_ON or c in _REORDERING else c for c in text)


def _escaped(character: str) -> str:
    return character if character in "\n\t" else character.encode("unicode_escape").decode("ascii")


_ACTED_ON = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, halves of characters, and separators of lines."""
_REORDERING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the order in which others are shown."""


class BadInput(ValueError):
    """Input that only the user can fix; its text is the whole message, one line.

    A message names an option by its flag. ``str(error)``, which Python callers read, names the argument instead.

    Attributes:
        message: The message as the command line prints it.

    Example:
        >>> error = BadInput("--tta: takes images only; omit it, or use --set train.lr=0.1")
        >>> error.message
        '--tta: takes images only; omit it, or use --set train.lr=0.1'
        >>> str(error), error.field
        ("tta: takes images only; omit it, or use settings={'train.lr': 0.1}", 'tta')
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.message = printable(message)

    def __str__(self) -> str:
        """The message with arguments in the place of flags."""
        return _arguments_for_flags(self.message)

    @property
    def field(self) -> str | None:
        """The option that the message is about, e.g. ``"tta"``; None if it is about something else."""
        option = re.match(r"--([a-z][a-z-]*)\b", self.message)
        return option[1].replace("-", "_") if option else None


class Stopped(Exception):
    """The user pressed Ctrl-C; its text says how to continue."""


class FirstProcessFailed(Exception):
    """The cause of an error that the first of several processes raised, and whose message it prints."""


SWITCHES = ("resume", "overwrite")
"""Flags that are true or false."""


def _arguments_for_flags(message: str) -> str:
    message = re.sub(r"--set ([\w.]+)=([^\s,;:)]+)", r"settings={'\1': \2}", message)
    message = re.sub(r"^--([a-z][a-z-]*)", lambda flag: flag[1].replace("-", "_"), message)
    message = re.sub(r"(?<![\w-])--([a-z][a-z-]*)", _argument, message)
    return re.sub(r"(?<![\w-])-o\b", "output", message)


def _argument(flag: re.Match[str]) -> str:
    name = flag[1].replace("-", "_")
    return f"{name}=True" if name in SWITCHES else name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known name, and all of them.

    Case, hyphens and spaces make no difference.

    Example:
        >>> did_you_mean("dan", ["dann", "mcc"])
        'did you mean dann? Available: dann, mcc'
        >>> did_you_mean("Deep-CORAL", ["deep_coral", "mcc"])
        'did you mean deep_coral? Available: deep_coral, mcc'
    """
    names = sorted(known)
    if not names:
        return "none are available"
    near = nearest(name, names)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    listed = f"{', '.join(names[:MOST_NAMES])}{more}"
    return f"did you mean {near}? Available: {listed}" if near else f"available: {listed}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is spelt most like ``name``; empty if none is.

    Case, hyphens and spaces make no difference.

    Example:
        >>> nearest("Adam", ["adam", "adamw"]), nearest("x", ["adam"])
        ('adam', '')
    """
    spelt = {_plain(known_name): known_name for known_name in known}
    near = get_close_matches(_plain(name), spelt, n=1)
    return spelt[near[0]] if near else ""


def _plain(name: str) -> str:
    """A name without the differences in spelling that people do not notice."""
    return re.sub(r"[-\s]", "_", name.casefold())


def no_access(error: OSError) -> BadInput:
    """Return the error for a file or folder that the system refuses to open."""
    if isinstance(error, PermissionError):
        return BadInput(f"{error.filename}: permission denied; allow this user to use it, or choose another path")
    return BadInput(f"{error.filename}: {error.strerror}; check the path")


def damaged(run: object, file: str, what: str) -> BadInput:
    """Return the error for a Run in which a file is not what Acclimate wrote.

    Args:
        run: The Run's folder.
        file: The file's path in it.
        what: What is wrong.
    """
    return BadInput(f"{run}: this Run was changed or damaged: {file}: {what}; restore it from a copy, or train again")


@contextmanager
def explain_damage(run: object, file: str) -> Iterator[None]:
    """Turn any failure of a library on a file of a Run into one line: damaged files fail in many ways.

    Raises:
        BadInput: The block failed.
    """
    try:
        yield
    except (BadInput, PermissionError):
        raise
    except Exception as error:
        raise damaged(run, file, _why(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise damaged(run, file, "not readable") from error


def _why(error: Exception) -> str:
    """What a library says, with the error's type where the text alone says too little."""
    text = f"{first_line(error):.200}"
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"


def is_panic(error: BaseException) -> bool:
    """Whether polars, or another library in Rust, gave up, which is not an `Exception`."""
    return type(error).__name__ == "PanicException"


@contextmanager
def explain_access() -> Iterator[None]:
    """Turn missing permission into one line.

    Raises:
        BadInput: The block may not open a file or folder.
    """
    try:
        yield
    except PermissionError as error:
        raise no_access(error) from error


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error message, or the error's type if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
