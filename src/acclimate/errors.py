"""What a person can mend: one line that says what, where and how."""

from collections.abc import Iterable
from difflib import get_close_matches


class BadInput(ValueError):
    """Input that only the person who gave it can mend; its text is the whole message, one line."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, and all of them.

    Example:
        >>> did_you_mean("dan", ["dann", "mcc"])
        'did you mean dann? There are: dann, mcc'
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    there_are = f"There are: {', '.join(names)}"
    return f"did you mean {near[0]}? {there_are}" if near else there_are[0].lower() + there_are[1:]
