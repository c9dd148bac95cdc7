"""A folder as a registry: one file is one method, and there is no list to maintain."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Generic, TypedDict, TypeVar, cast

from acclimate import plugins
from acclimate.docstrings import describe, read_class, say
from acclimate.errors import BadInput, did_you_mean

T = TypeVar("T")
HERE = Path(__file__).parent
USUAL = ["source", "target"]
NEEDS = {"testtime": ["run", "target"], "sourcefree": ["source or run", "target"]}
"""What the methods of a family need, where their class does not say so."""


class MethodSummary(TypedDict):
    """What is known of a method; ``numbers`` says whether it takes numbers as labels."""

    name: str
    family: str
    numbers: bool
    needs: list[str]
    does: str
    when: str
    options: dict[str, str]
    reference: str


class Registry(Generic[T]):
    """The methods in some families, folders beside this file, and those of plug-ins; listing them imports none.

    Args:
        families: Names of folders; each file in them defines one class, the method of the file's name.
        group: Entry points of other packages that provide such methods.
    """

    def __init__(self, *families: str, group: str = ""):
        self.families, self.group = families, group

    def names(self) -> list[str]:
        """Every method there is, e.g. ``["dann", "deep_coral", ...]``; imports none of them."""
        return sorted({*self._family_of, *self._plugins()})

    def get(self, name: str) -> type[T]:
        """The method called ``name``: the one class defined in the file of that name, or a plug-in's.

        Args:
            name: A built-in method's, an entry point's, or ``MODULE:CLASS`` of a module that is imported already.

        Raises:
            BadInput: No method has this name.
        """
        if self.group and plugins.is_spec(name):
            return self._checked(name, plugins.find(name))
        if name in self._family_of:
            return self._own(name)
        if name in (found := self._plugins()):
            return self._checked(name, found[name].load())
        raise self._unknown(name)

    def check_name(self, name: str) -> None:
        """Refuse an unknown name; imports no method.

        Raises:
            BadInput: No method has this name.
        """
        if not (self.group and plugins.is_spec(name)) and name not in self.names():
            raise self._unknown(name)

    def _unknown(self, name: str) -> BadInput:
        return BadInput(f"no method {name!r}; {did_you_mean(name, self.names())}")

    def classes(self) -> dict[str, str]:
        """The method's name of each class name, e.g. ``{"DANN": "dann"}``, without plug-ins; imports none of them."""
        return {self._parsed(name).name: name for name in self._family_of}

    def _own(self, name: str) -> type[T]:
        module = importlib.import_module(f"{__package__}.{self._family_of[name]}.{name}")
        classes = (c for _, c in inspect.getmembers(module, inspect.isclass))
        [method] = (c for c in classes if c.__module__ == module.__name__)
        return cast("type[T]", method)

    def options(self, name: str) -> dict[str, inspect.Parameter]:
        """The options of a method: the keyword-only arguments of its ``__init__``, with type and default."""
        parameters = inspect.signature(self.get(name), eval_str=True).parameters
        return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}

    def summary(self, name: str) -> MethodSummary:
        """What the folder tells of a method without importing it: family, first sentence, options, and so on."""
        if name not in self._family_of:
            return self._plugin_summary(name)
        method, family = self._parsed(name), self._family_of[name]
        assigned = {ast.unparse(n.target): n.value for n in method.body if isinstance(n, ast.AnnAssign) and n.value}
        about = describe(method)
        return {
            "name": name,
            "family": family,
            "numbers": family == "shallow" or "regression" in ast.dump(assigned.get("tasks", ast.Pass())),
            "needs": _texts(assigned["needs"])
            if family not in NEEDS and "needs" in assigned
            else NEEDS.get(family, USUAL),
            "does": about.does,
            "when": about.when,
            "options": about.options,
            "reference": about.reference,
        }

    def _plugin_summary(self, name: str) -> MethodSummary:
        method = self.get(name)
        does, when, reference = say(inspect.getdoc(method) or "")
        return {
            "name": name,
            "family": "plug-in",
            "numbers": "regression" in getattr(method, "tasks", ()),
            "needs": sorted(getattr(method, "needs", ())),
            "does": does,
            "when": when,
            "options": {k: repr(p.default) for k, p in self.options(name).items()},
            "reference": reference,
        }

    def _parsed(self, name: str) -> ast.ClassDef:
        return read_class(HERE / self._family_of[name] / f"{name}.py")

    def _checked(self, name: str, found: object) -> type[T]:
        if not inspect.isclass(found) or not hasattr(found, "losses"):
            raise BadInput(f"method {name}: not a subclass of acclimate.methods.Method")
        return cast("type[T]", found)

    def _plugins(self) -> dict[str, EntryPoint]:
        return plugins.installed(self.group) if self.group else {}

    @cached_property
    def _family_of(self) -> dict[str, str]:
        return {m.name: family for family in self.families for m in pkgutil.iter_modules([str(HERE / family)])}


def _texts(node: ast.expr) -> list[str]:
    """The strings in an expression, e.g. ``frozenset({"source"})``."""
    found = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return sorted(text for text in found if isinstance(text, str))
