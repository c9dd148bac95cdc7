"""Output of the commands, as text or as one JSON object, and parsing of their options."""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from acclimate import plugins
from acclimate.errors import BadInput, Stopped, printable
from acclimate.files import expand


def write_line(message: str) -> None:
    """Write one line to stderr, with escapes in the place of control characters."""
    sys.stderr.write(f"acclimate: {printable(' '.join(message.split()))}\n")


def print_result(text: str, value: Mapping[str, object], *, as_json: bool) -> None:
    """Print ``value`` as JSON if ``as_json``, else ``text``; of the processes of ``torchrun`` only the first prints."""
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.write((_as_json(value) if as_json else printable(text)) + "\n")


def _as_json(value: Mapping[str, object]) -> str:
    readable = json.dumps(value, ensure_ascii=False)
    return readable if printable(readable) == readable else json.dumps(value)


class _OnStderr(logging.Handler):
    """Writes to the current ``sys.stderr``, which a notebook or a test may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line."""
        write_line(record.getMessage())


def log_to_stderr() -> None:
    """Print the library's log messages to stderr, one line each."""
    logger = logging.getLogger("acclimate")
    if not logger.handlers:
        logger.addHandler(_OnStderr())
        logger.setLevel(logging.INFO)
        logging.getLogger("PIL").setLevel(logging.CRITICAL)  # our own message names the damaged image
        # it logs the requested precision at each training
        logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)


def import_modules(names: Sequence[str] | None) -> None:
    """Import modules of the user's own, by name or by file.

    Raises:
        BadInput: One cannot be imported.
    """
    sys.path.insert(0, str(Path.cwd()))
    for name in names or ():
        plugins.import_module(name)


def stopped(output: str) -> Stopped:
    """What Ctrl-C raises in a command that trains: it says how to continue if there is anything to continue."""
    began = expand(output).is_dir()
    return Stopped(f"stopped; the same command with --resume continues {output}" if began else "stopped")


def columns(text: str | None) -> tuple[str, ...]:
    """Split ``"a,b"`` into ``("a", "b")``."""
    return tuple(c.strip() for c in (text or "").split(",") if c.strip())


N = TypeVar("N", bound=float)


def numbers(option: str, text: str | None, kind: Callable[[str], N]) -> tuple[N, ...]:
    """Parse ``"0.1,1"`` into ``(0.1, 1.0)`` if ``kind`` is float.

    Raises:
        BadInput: A value is not a number.
    """
    try:
        return tuple(kind(word) for word in columns(text))
    except ValueError as error:
        raise BadInput(f"{option} {text}: not comma-separated numbers; write e.g. {option} 1,5,10") from error


def pairs(texts: Sequence[str] | None) -> dict[str, str]:
    """Parse ``["a=1"]`` into ``{"a": "1"}``.

    Raises:
        BadInput: A text does not have this form.
    """
    for text in texts or ():
        if not text.partition("=")[0].strip() or "=" not in text:
            raise BadInput(f"--set {text}: not of the form key=value; write e.g. --set weight=0.5")
    return {key.strip(): value for key, _, value in (text.partition("=") for text in texts or ())}
