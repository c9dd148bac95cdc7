"""Methods by name. The folder is the registry: one file is one method, and there is no list to maintain.

Classes are imported by their own names when they are first used: ``from acclimate.methods import DANN``.
The shallow methods follow scikit-learn's protocol instead of `Method`; `acclimate.methods.shallow` lists them.
`acclimate.methods.selfsup` lists those that learn no classes, but features for another method to start from.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from acclimate import plugins
from acclimate.methods.registry import Registry

if TYPE_CHECKING:  # so that listing the methods, for --help or tab completion, does not import torch
    from acclimate.methods.base import Method

_OTHERS = ("shallow", "testtime", "selfsup")
_families = [m.name for m in pkgutil.iter_modules(__path__) if m.ispkg and m.name not in _OTHERS]
_folders: Registry[Method] = Registry(*_families, group=plugins.METHODS)
names, get, options, summary = _folders.names, _folders.get, _folders.options, _folders.summary


class MethodInfo(NamedTuple):
    """What a method is and needs.

    Attributes:
        name: As ``--method`` and `acclimate.fit` take it.
        family: ``align``, ``baseline``, ``sourcefree``, or ``plug-in``.
        does: Its first sentence.
        tasks: ``classification``, ``regression`` or both.
        needs: The domains it learns from: ``source``, ``target``, ``target_labels``.
        options: Defaults by name, as they are written.
    """

    name: str
    family: str
    does: str
    tasks: frozenset[str]
    needs: frozenset[str]
    options: dict[str, str]


def list_methods(*, task: str | None = None, needs: Collection[str] | None = None) -> list[MethodInfo]:
    """The methods that can learn a task and need no more than some domains.

    Args:
        task: ``classification`` or ``regression``; any by default.
        needs: The domains there are, e.g. ``{"source", "target"}``; any by default.

    Example:
        >>> [m.name for m in list_methods(needs={"target"})]
        ['nrc', 'shot']
    """
    found = []
    for name in names():
        kind, about = get(name), summary(name)
        if (task is None or task in kind.tasks) and (needs is None or kind.needs <= set(needs)):
            found.append(MethodInfo(name, about["family"], about["does"], kind.tasks, kind.needs, about["options"]))
    return found


def __getattr__(name: str) -> Any:
    """A method's class by its own name, e.g. ``DANN``."""
    if name == "Method":
        return importlib.import_module("acclimate.methods.base").Method
    if not name.startswith("_"):
        families: list[Registry[Method] | Registry[object]] = [_folders, *(Registry(other) for other in _OTHERS)]
        for family in families:
            if name in (classes := family.classes()):
                return family.get(classes[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
