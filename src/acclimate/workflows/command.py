"""The command that makes a Run, as its report and its environment.json show it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from acclimate.data import paths_in
from acclimate.run_folder import RunFolder
from acclimate.workflows.options import CompareRequest, Request

_FIELDS = {**CompareRequest.model_fields, **Request.model_fields}
LONGEST = 4000
"""Most characters of a command that is kept."""


def command_of(
    source: object, target: object, output: object, options: Mapping[str, object], *, workflow: str = "adapt"
) -> str:
    """Return the command line that does the same, or the Python call where something given has no path.

    Example:
        >>> command_of("shop", "my photos", "run", {"steps": 40, "settings": {"train.lr": 0.1}, "method": "auto"})
        "acclimate adapt shop 'my photos' -o run --steps 40 --set train.lr=0.1"
    """
    given = {name: value for name, value in options.items() if _is_set(name, value)}
    paths = [_path(one) for one in (source, target, output)]
    if all(paths) and all(map(_on_command_line, given.values())) and isinstance(given.get("seeds", 1), int):
        words = ["acclimate", workflow, paths[0], paths[1], "-o", paths[2], *_flags(given)]
        return shlex.join(words)[:LONGEST]
    shown = [_python(source, "source"), _python(target, "target"), *([_python(output, "output")] if output else [])]
    return f"acclimate.{workflow}({', '.join([*shown, *(f'{k}={_python(v, k)}' for k, v in given.items())])})"[:LONGEST]


def _is_set(name: str, value: object) -> bool:
    """Whether an option has another value than its default."""
    if isinstance(value, str | int | float | None):
        return value not in (None, "") and value != _FIELDS[name].default
    return not (isinstance(value, Sequence | Mapping) and len(value) == 0)


def _path(given: object) -> str:
    """The path of a domain or a Run, or those of several sources; empty for examples in memory."""
    if isinstance(given, list | tuple):
        paths = [_path(one) for one in given]
        together = ",".join(paths)
        return together if all(paths) and paths_in(together) == paths else ""
    if isinstance(given, RunFolder):
        return str(given.path)
    return str(given) if isinstance(given, str | Path) else ""


def _on_command_line(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(one, str | int | float | bool | None) for one in value.values())
    if isinstance(value, list | tuple):
        return all(isinstance(one, str | int | float) and "," not in str(one) for one in value)
    return isinstance(value, str | Path | int | float)


def _flags(given: Mapping[str, object]) -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, Mapping):
            for key, of_key in value.items():
                yield from ("--set", f"{key}={_yaml(of_key)}")
        elif value is True:
            yield f"--{name.replace('_', '-')}"
        else:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield from (f"--{name.replace('_', '-')}", text)


def _yaml(value: object) -> str:
    """Write a value as YAML does."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _python(value: object, name: str) -> str:
    """A literal; the name of the argument for examples in memory and for classes."""
    if isinstance(value, RunFolder | Path):
        return repr(str(value.path if isinstance(value, RunFolder) else value))
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_python(of_key, name)}' for key, of_key in value.items())}}}"
    if isinstance(value, str | int | float | bool | None):
        return repr(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str | int | float) for one in value) and len(value) < 50:
        return repr(value)
    if isinstance(value, list | tuple) and value and all(isinstance(one, str | Path) for one in value):
        return repr([str(one) for one in value])
    return value.__name__ if isinstance(value, type) else name
