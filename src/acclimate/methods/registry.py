"""A folder as a registry: one file is one method, and there is no list to maintain."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from acclimate.errors import BadInput, did_you_mean

T = TypeVar("T")
HERE = Path(__file__).parent


class Registry(Generic[T]):
    """The methods in some families, folders beside this file; listing them imports none of them.

    Args:
        families: Names of folders; each file in them defines one class, the method of the file's name.
    """

    def __init__(self, *families: str):
        self.families = families

    def names(self) -> list[str]:
        """The names of all methods, e.g. ``["dann", "deep_coral", ...]``; imports none of them."""
        return sorted(self._family_of())

    def get(self, name: str) -> type[T]:
        """The method called ``name``: the one class defined in the file of that name.

        Raises:
            BadInput: No method has this name.
        """
        if name not in self._family_of():
            raise BadInput(f"no method {name!r}; {did_you_mean(name, self.names())}")
        module = importlib.import_module(f"{__package__}.{self._family_of()[name]}.{name}")
        classes = (c for _, c in inspect.getmembers(module, inspect.isclass))
        [method] = (c for c in classes if c.__module__ == module.__name__)
        return cast("type[T]", method)

    def options(self, name: str) -> dict[str, inspect.Parameter]:
        """The options of a method: the keyword-only arguments of its ``__init__``, with type and default."""
        parameters = inspect.signature(self.get(name), eval_str=True).parameters
        return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}

    def summary(self, name: str) -> dict[str, Any]:
        """What a method's file says, without importing it: family, first sentence, options, and so on."""
        path = HERE / self._family_of()[name] / f"{name}.py"
        [method] = (n for n in ast.parse(path.read_text("utf-8")).body if isinstance(n, ast.ClassDef))
        doc = ast.get_docstring(method) or ""
        init = next((n for n in method.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
        assigned = {ast.unparse(n.target): n.value for n in method.body if isinstance(n, ast.AnnAssign) and n.value}
        arguments = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True) if init else ()
        return {
            "name": name,
            "family": path.parent.name,
            "numbers": path.parent.name == "shallow" or "regression" in ast.dump(assigned.get("tasks", ast.Pass())),
            "does": doc.split("\n", 1)[0],
            "options": {a.arg: ast.unparse(default) for a, default in arguments if default is not None},
            "reference": " ".join(doc.partition("Reference:")[2].split()),
        }

    def _family_of(self) -> dict[str, str]:
        return {m.name: family for family in self.families for m in pkgutil.iter_modules([str(HERE / family)])}
