"""Judgements without labels of the target: which model to keep, and an estimate of its accuracy.

Validators are found by name: one file is one validator, and there is no list to maintain.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from acclimate.errors import BadInput, did_you_mean

if TYPE_CHECKING:  # so that listing the names imports nothing
    from acclimate.validators.base import Validator

HERE = Path(__file__).parent
BASES = {"Validator", "SingleValidator"}
"""A file that defines a subclass of these is a validator."""


@cache
def names() -> tuple[str, ...]:
    """Every validator there is, e.g. ``("acm", "bnm", ...)``; imports none of them."""
    return tuple(sorted(path.stem for path in HERE.glob("*.py") if path.stem != "base" and _defines_validator(path)))


def get(name: str) -> type[Validator]:
    """The validator called ``name``: the one in the file of that name.

    Raises:
        BadInput: No validator has this name.

    Example:
        >>> get("entropy")().shares >= {"mcc", "tent"}
        True
    """
    if name not in names():
        raise BadInput(f"no validator {name!r}; {did_you_mean(name, names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    [found] = (c for _, c in inspect.getmembers(module, inspect.isclass) if _is_own(c, module.__name__))
    return cast("type[Validator]", found)


def _is_own(found: type, module: str) -> bool:
    return found.__module__ == module and bool(BASES & {base.__name__ for base in found.__mro__})


def _defines_validator(path: Path) -> bool:
    classes = (node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.ClassDef))
    return any(BASES & {ast.unparse(base) for base in node.bases} for node in classes)
