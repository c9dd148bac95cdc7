"""Methods by name. The folder is the registry: one file, one method, no list to keep in step."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from acclimate.errors import BadInput, did_you_mean

if TYPE_CHECKING:  # so that listing the methods, for --help or tab completion, does not import torch
    from acclimate.methods.base import Method


def names() -> list[str]:
    """Every method there is, e.g. ``["dann", "deep_coral", ...]``; imports none of them."""
    return sorted(_files())


def get(name: str) -> type[Method]:
    """The method called ``name``: the one `Method` defined in the file of that name.

    Raises:
        BadInput: There is no such method.
    """
    if name not in _files():
        raise BadInput(f"no method {name!r}; {did_you_mean(name, names())}")
    module = importlib.import_module(_files()[name])
    classes = (c for _, c in inspect.getmembers(module, inspect.isclass))
    [method] = (c for c in classes if c.__module__ == module.__name__)
    return cast("type[Method]", method)


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a method: the keyword-only arguments of its ``__init__``, with type and default."""
    parameters = inspect.signature(get(name), eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def summary(name: str) -> dict[str, Any]:
    """What the folder tells of a method without importing it: its family, first sentence, options, reference."""
    path = Path(__file__).parent.joinpath(*_files()[name].split(".")[2:]).with_suffix(".py")
    [method] = (n for n in ast.parse(path.read_text("utf-8")).body if isinstance(n, ast.ClassDef))
    doc = ast.get_docstring(method) or ""
    init = next((n for n in method.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    arguments = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True) if init else ()
    return {
        "name": name,
        "family": path.parent.name,
        "does": doc.split("\n", 1)[0],
        "options": {a.arg: ast.unparse(default) for a, default in arguments if default is not None},
        "reference": " ".join(doc.partition("Reference:")[2].split()),
    }


def _files() -> dict[str, str]:
    found = pkgutil.walk_packages(__path__, prefix=f"{__name__}.")
    return {m.name.rpartition(".")[2]: m.name for m in found if not m.ispkg and not m.name.endswith(".base")}
