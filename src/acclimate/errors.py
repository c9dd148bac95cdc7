"""What a person can mend: one line that says what, where and how."""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_NAMES = 30
"""Names that a message lists; of more it gives the number."""


class BadInput(ValueError):
    """Input that only the person who gave it can mend; its text is the whole message, one line."""


class Stopped(Exception):
    """The person pressed Ctrl-C; its text says how to go on."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, and all of them.

    Example:
        >>> did_you_mean("dan", ["dann", "mcc"])
        'did you mean dann? There are: dann, mcc'
    """
    names = sorted(known)
    if not names:
        return "there are none"
    near = get_close_matches(name, names, n=1)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    there_are = f"There are: {', '.join(names[:MOST_NAMES])}{more}"
    return f"did you mean {near[0]}? {there_are}" if near else there_are[0].lower() + there_are[1:]


def first_line(error: BaseException) -> str:
    """What another library says of a failure, as far as it fits into a message of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
