"""Errors that the user can fix: one line that says what is wrong, where, and how to fix it."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_NAMES = 30
"""Most names that a message lists; it counts the rest."""


class BadInput(ValueError):
    """Input that only the user can fix; its text is the whole message, one line."""


class Stopped(Exception):
    """The user pressed Ctrl-C; its text says how to continue."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known name, and all of them.

    Example:
        >>> did_you_mean("dan", ["dann", "mcc"])
        'did you mean dann? Available: dann, mcc'
    """
    names = sorted(known)
    if not names:
        return "none are available"
    near = get_close_matches(name, names, n=1)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    listed = f"{', '.join(names[:MOST_NAMES])}{more}"
    return f"did you mean {near[0]}? Available: {listed}" if near else f"available: {listed}"


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error message, or the error's type if it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
