"""Methods and backbones from outside the package: by entry point, or as ``MODULE:NAME`` and ``FILE.py:NAME``.

A recipe names them as ``MODULE:NAME``. Reading a Run never imports what its recipe names: the module must be an
installed plug-in, or be imported already.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

from acclimate.errors import BadInput, first_line

METHODS, BACKBONES = "acclimate.methods", "acclimate.backbones"
"""Groups of entry points."""


def installed(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; imports none of them."""
    entries = [entry for folder in reversed(sys.path) for entry in _entries(folder)]
    return {entry.name: entry for entry in entries if entry.group == group}


@cache
def _entries(folder: str) -> tuple[EntryPoint, ...]:
    """Our entry points in a folder of packages, read once: reading opens a file of every package."""
    packages = distributions(path=[folder])
    return tuple(entry for package in packages for entry in package.entry_points if entry.group in (METHODS, BACKBONES))


def origins(*names: str) -> dict[str, str]:
    """Where methods and backbones from outside the package come from, for a recipe: a package with its version."""
    found = {}
    entries = installed(METHODS) | installed(BACKBONES)
    for name in names:
        if is_spec(name):
            found[name] = name.partition(":")[0].partition(".")[0]
        elif name in entries and (dist := entries[name].dist) is not None and dist.name != "acclimate":
            found[name] = f"{dist.name} {dist.version}"
    return found


def require(origins: Mapping[str, str], name: str) -> None:
    """Refuse to continue without the plug-in that a recipe names.

    Raises:
        BadInput: It is not there; the message names its package or module.
    """
    if name not in origins:
        return
    if is_spec(name):
        find(name)
    elif name not in installed(METHODS) | installed(BACKBONES):
        raise BadInput(f"{name}: this Run needs the package {origins[name]}; install it")


def is_spec(name: str) -> bool:
    """Whether a name is of the form ``MODULE:NAME`` or ``FILE.py:NAME``.

    Example:
        >>> is_spec("mine:Method"), is_spec("nets/mine.py:build"), is_spec("dann")
        (True, True, False)
    """
    module, colon, attribute = name.rpartition(":")
    if not colon or not attribute.isidentifier() or module in _own_backbones():
        return False
    return module.endswith(".py") or all(part.isidentifier() for part in module.split("."))


@cache
def _own_backbones() -> frozenset[str]:
    """Names of our own backbones, which may take a model after a colon, and so are not modules."""
    return frozenset(path.stem for path in Path(__file__).with_name("backbones").glob("*.py"))


def import_spec(name: str) -> str:
    """Import the module of ``MODULE:NAME`` or ``FILE.py:NAME``; return ``MODULE:NAME``, as a recipe has it.

    Raises:
        BadInput: There is no such module or file, or it fails.
    """
    module, _, attribute = name.rpartition(":")
    spec = f"{import_module(module)}:{attribute}"
    find(spec)
    return spec


def import_module(given: str) -> str:
    """Import a module by its name or its file; return its name.

    Raises:
        BadInput: There is none, or it fails.
    """
    try:
        return _import_file(Path(given)) if given.endswith(".py") else importlib.import_module(given).__name__
    except BadInput:
        raise
    except Exception as error:  # somebody else's code fails in many ways
        raise BadInput(f"{given}: cannot be imported ({type(error).__name__}: {first_line(error)})") from error


class ImportedFiles:
    """The files imported so far; another process that unpickles this imports them, and then knows their classes."""

    def __reduce__(self) -> tuple[Callable[..., "ImportedFiles"], tuple[Path, ...]]:
        """Pickle the paths; whoever reads them imports the files."""
        return _import_files, tuple(path for name, path in _files.items() if name in sys.modules)


_files: dict[str, Path] = {}
"""Of the modules imported by path, in their order."""


def _import_files(*paths: Path) -> ImportedFiles:
    for path in paths:
        _import_file(path)
    return ImportedFiles()


def find(spec: str) -> object:
    """What ``MODULE:NAME`` stands for, if its module is imported already.

    Raises:
        BadInput: It is not, or has no such name.
    """
    module, _, attribute = spec.rpartition(":")
    if module not in sys.modules:
        raise BadInput(
            f"{spec}: this Run needs the Python module {module!r}, which is not imported; if you trust it, import it "
            f"first (on the command line: --import {module}, or --import FILE.py)"
        )
    if not hasattr(sys.modules[module], attribute):
        raise BadInput(f"{spec}: the module {module!r} has no {attribute!r}")
    return getattr(sys.modules[module], attribute)


def spec_of(thing: object) -> str:
    """``MODULE:NAME`` of a class or function.

    Raises:
        BadInput: It has no name in its module, so a Run could not be read back.
    """
    module, name = getattr(thing, "__module__", ""), getattr(thing, "__qualname__", "")
    if getattr(sys.modules.get(module), name, None) is not thing:
        raise BadInput(f"{thing!r:.80}: define it at the top of a module, so that its Run can be read back")
    return f"{module}:{name}"


def _import_file(path: Path) -> str:
    name = path.stem
    known = sys.modules.get(name)
    if known is not None:
        if Path(getattr(known, "__file__", None) or "").resolve() != path.resolve():
            raise BadInput(f"{path}: a module {name!r} is imported already; rename the file")
        return name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise BadInput(f"{path}: no such file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _files[name] = path.resolve()
    return name
