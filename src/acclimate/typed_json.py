"""Small files of JSON that anybody may have changed: read up to a limit and checked against their typed description."""

import json
import math
import stat
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from acclimate.errors import first_line

T = TypeVar("T")

LARGEST = 2**26
"""Bytes that such a file may have."""


def read(path: Path, kind: type[T]) -> T:
    """Read a file of JSON.

    Args:
        path: The file.
        kind: The `TypedDict` that describes its content; it may have more keys.

    Raises:
        ValueError: It cannot be read, or does not fit its description; the text says where.
    """
    try:
        value = json.loads(read_text(path), parse_constant=_number, parse_float=_number)
    except (RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON ({first_line(error)})") from error
    checked: T = check(value, kind)
    return checked


def check(value: Any, kind: type[T]) -> T:
    """Return ``value`` as it is if it fits ``kind``.

    Raises:
        ValueError: It does not.
    """
    try:
        _adapter(cast("Hashable", kind)).validate_python(value, strict=True)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
    found: T = value
    return found


def read_text(path: Path, *, largest: int = LARGEST) -> str:
    """Read a small file of text.

    Raises:
        ValueError: It is no regular file, too large, not UTF-8 or cannot be read.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("not a regular file")
        if about.st_size > largest:
            raise ValueError(f"larger than {largest:,} bytes")
        return path.read_text("utf-8")
    except PermissionError:
        raise
    except OSError as error:
        raise ValueError("missing" if isinstance(error, FileNotFoundError) else str(error.strerror)) from error


def first_problem(error: ValidationError) -> str:
    """Return where the first problem of a validation is, and what it is."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key} is missing"
    value = f"{key or 'it'}={problem['input']!r:.80}" if key else "it"
    return f"{value} is invalid; {problem['msg'][:1].lower()}{problem['msg'][1:]}"


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type", kind))


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.40} is not a finite number")
    return number
