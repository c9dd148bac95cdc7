"""What commands print: words for a person, or one JSON object."""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from acclimate import plugins
from acclimate.errors import BadInput


def tell(text: str, value: Mapping[str, Any], *, as_json: bool) -> None:
    """Print ``value`` as JSON if that was asked for, else ``text``."""
    sys.stdout.write((json.dumps(value, ensure_ascii=False) if as_json else text) + "\n")


class _OnStderr(logging.Handler):
    """Writes to what ``sys.stderr`` is at the time, which a notebook or a test may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        sys.stderr.write(f"acclimate: {' '.join(record.getMessage().split())}\n")


def speak_on_stderr() -> None:
    """Send what the library logs to stderr, a line each."""
    logger = logging.getLogger("acclimate")
    if not logger.handlers:
        logger.addHandler(_OnStderr())
        logger.setLevel(logging.INFO)
        logging.getLogger("PIL").setLevel(logging.CRITICAL)  # our own line says which image is damaged
        # it tells the precision, which was asked for, at each training
        logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)


def import_modules(names: Sequence[str] | None) -> None:
    """Import modules of the user's own, by name or by file.

    Raises:
        BadInput: One cannot be imported.
    """
    sys.path.insert(0, str(Path.cwd()))
    for name in names or ():
        plugins.import_module(name)


def columns(text: str | None) -> tuple[str, ...]:
    """``"a,b"`` as ``("a", "b")``."""
    return tuple(c.strip() for c in (text or "").split(",") if c.strip())


N = TypeVar("N", int, float)


def numbers(option: str, text: str | None, kind: Callable[[str], N]) -> tuple[N, ...]:
    """``"0.1,1"`` as ``(0.1, 1.0)``, if they are to be floats.

    Raises:
        BadInput: One is no number.
    """
    try:
        return tuple(kind(word) for word in columns(text))
    except ValueError as error:
        raise BadInput(f"{option} {text}: write numbers with commas between them") from error


def pairs(texts: Sequence[str] | None) -> dict[str, str]:
    """``["a=1"]`` as ``{"a": "1"}``.

    Raises:
        BadInput: One is not of that form.
    """
    for text in texts or ():
        if not text.partition("=")[0].strip() or "=" not in text:
            raise BadInput(f"--set {text}: write it as key=value, e.g. --set weight=0.5")
    return {key.strip(): value for key, _, value in (text.partition("=") for text in texts or ())}
