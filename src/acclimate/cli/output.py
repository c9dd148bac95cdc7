"""What commands print: words for a person, or one JSON object."""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]


def tell(text: str, value: Mapping[str, Any], *, as_json: bool) -> None:
    """Print ``value`` as JSON if that was asked for, else ``text``."""
    sys.stdout.write((json.dumps(value, ensure_ascii=False) if as_json else text) + "\n")


def speak_on_stderr() -> None:
    """Send what the library logs to stderr, a line each."""
    logger = logging.getLogger("acclimate")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("acclimate: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def columns(text: str | None) -> tuple[str, ...]:
    """``"a,b"`` as ``("a", "b")``."""
    return tuple(c.strip() for c in (text or "").split(",") if c.strip())
