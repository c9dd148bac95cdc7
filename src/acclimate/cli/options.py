"""Options of the commands, generated from the descriptions of the workflows' options."""

import inspect
import operator
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin

import typer

from acclimate.cli.output import columns, numbers, pairs

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


Model = Annotated[
    str,
    typer.Option(
        help="What predicts: kept, source_only or adapted (the first seed's model), or ensemble (the mean of all "
        "seeds' kept models).",
        show_default=False,
    ),
]
Positive = Annotated[
    str | None, typer.Option(help="Classes that together count as positive for the AUC, separated by commas.")
]
Tta = Annotated[
    str | None, typer.Option(help="Also score the mean over views: hflip, shift, five_crop, separated by commas.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout and all else to stderr.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the work in the folder -o, if it exists.")]
Import = Annotated[
    list[str] | None,
    typer.Option("--import", help="Import a Python module or FILE.py first, for methods and backbones of your own."),
]

Label = Annotated[str | None, typer.Option(help="Column of a table with the labels.")]
Text = Annotated[str | None, typer.Option(help="Column with the text; several separated by commas.")]
Image = Annotated[str | None, typer.Option(help="Column with the paths of images.")]
Drop = Annotated[str | None, typer.Option(help="Columns to leave out, separated by commas.")]
Page = Annotated[str | None, typer.Option("--output", "-o", help="File for the page, .html.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file -o if it exists.")]

COMPLETED = ("method", "pretrain", "finetune", "backbone", "label_shift", "test_time")
"""Options whose values the shell completes."""
LISTS: Mapping[str, type[float]] = {"fractions": float, "per_class": int}
"""Types of the options that are lists of numbers; other lists are of words."""
Given = str | int | float | list[str] | None
"""Values of the command line."""


def command(function: Callable[..., None], describes: str) -> Callable[..., None]:
    """Return a command with the parameters of ``function`` and the options of a workflow.

    Unless it is the command that was called, it has a name and a summary only, so that listing the commands imports
    next to nothing.

    Args:
        function: Takes its own parameters by name, and ``options`` by name as the library takes them.
        describes: The class in `acclimate.workflows.options` that describes the options.
    """
    if function.__name__ not in _words()[1:2]:
        return _named_as(lambda: None, function)
    from acclimate.workflows import options as described

    return _with_options(function, getattr(described, describes))


def _words() -> list[str]:
    """The command line, or what there is of it while the shell completes it."""
    if "_ACCLIMATE_COMPLETE" not in os.environ:
        return sys.argv
    return (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()


def complete(flag: str) -> Callable[[str], list[str]]:
    """What completes the value of an option that takes a name, e.g. ``--method``."""

    def names(incomplete: str) -> list[str]:
        from acclimate.workflows.catalogue import names_for

        return [name for name in names_for(flag) if name.startswith(incomplete)]

    return names


def _named_as(command: Callable[..., None], function: Callable[..., None]) -> Callable[..., None]:
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def _with_options(function: Callable[..., None], kind: "type[BaseModel]") -> Callable[..., None]:
    def run(**given: Given) -> None:
        own = {name: given.pop(name) for name in list(given) if name not in kind.model_fields}
        function(**own, options={name: _value(name, kind, value) for name, value in given.items()})

    first = [p for p in inspect.signature(function).parameters.values() if p.name != "options"]
    leading = [p for p in first if p.default is p.empty]
    options = [_parameter(name, field) for name, field in kind.model_fields.items()]
    parameters = [*leading, *options, *(p for p in first if p.default is not p.empty)]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    run.__dict__["__signature__"] = inspect.Signature(keyword)
    run.__annotations__ = {p.name: p.annotation for p in keyword}
    return _named_as(run, function)


def _parameter(name: str, field: "FieldInfo") -> inspect.Parameter:
    """Return an option as the command line takes it: text, a number, or repeated ``--set key=value``."""
    if name == "settings":
        option = typer.Option("--set", help=f"key=value. {field.description}", show_default=False)
        annotation, default = _annotated(list[str] | None, option), None
    else:
        plain = _plain(field.annotation)
        default = field.default if plain in {int, float, bool} or isinstance(field.default, str) else None
        listed = ", separated by commas" if _is_list(field.annotation) else ""
        completes = complete(f"--{name.replace('_', '-')}") if name in COMPLETED else None
        flags = [f"--{name.replace('_', '-')}"] if plain is bool else []  # or there would be --no-NAME too
        told = f"{(field.description or '').rstrip('.')}{listed}."
        option = typer.Option(*flags, help=told, autocompletion=completes)
        annotation = _annotated(plain if default is not None else plain | None, option)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _plain(annotation: object) -> type:
    """Return the type of an option's value on the command line: a number if possible, else text."""
    if annotation is bool:
        return bool
    kinds = (annotation,) if _is_list(annotation) else (annotation, *get_args(annotation))
    return next((kind for kind in (int, float) if kind in kinds), str)


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is Sequence


def _annotated(kind: object, option: object) -> object:
    return operator.getitem(cast("Any", Annotated), (kind, option))  # its type is known only at run time


def _value(name: str, kind: "type[BaseModel]", value: Given) -> object:
    """Convert a value of the command line to the library's."""
    if name == "settings":
        return pairs(value if isinstance(value, list) else None)
    if not _is_list(kind.model_fields[name].annotation):
        return value
    text = value if isinstance(value, str) else None
    return numbers(f"--{name.replace('_', '-')}", text, LISTS[name]) if name in LISTS else columns(text)
