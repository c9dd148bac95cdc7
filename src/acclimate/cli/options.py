"""Options of the commands, generated from the descriptions of the workflows' options."""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, cast, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from acclimate.cli.output import columns, numbers, pairs
from acclimate.workflows.options import SharedOptions

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

LISTS: Mapping[str, Callable[[str], Any]] = {"fractions": float, "per_class": int}
"""Types of the options that are lists of numbers; other lists are of words."""


def command(function: Callable[..., None], kind: type[SharedOptions]) -> Callable[..., None]:
    """Make a command with the parameters of ``function`` and an option for each field of ``kind``.

    Args:
        function: Takes its own parameters by name, and ``options`` by name, with the library's values.
        kind: Describes the options.
    """

    def run(**given: Any) -> None:
        own = {name: given.pop(name) for name in list(given) if name not in kind.model_fields}
        function(**own, options={name: _value(name, kind, value) for name, value in given.items()})

    first = [p for p in inspect.signature(function).parameters.values() if p.name != "options"]
    leading = [p for p in first if p.default is p.empty]
    options = [_parameter(name, field) for name, field in kind.model_fields.items()]
    parameters = [*leading, *options, *(p for p in first if p.default is not p.empty)]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    run.__dict__["__signature__"] = inspect.Signature(keyword)
    run.__annotations__ = {p.name: p.annotation for p in keyword}
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return an option as the command line takes it: text, a number, or repeated ``--set key=value``."""
    if name == "settings":
        option = typer.Option("--set", help=f"key=value. {field.description}", show_default=False)
        annotation, default = _annotated(list[str] | None, option), None
    else:
        plain = _plain(field.annotation)
        default = field.default if plain in {int, float} or isinstance(field.default, str) else None
        listed = ", separated by commas" if _is_list(field.annotation) else ""
        option = typer.Option(help=f"{(field.description or '').rstrip('.')}{listed}.")
        annotation = _annotated(plain if default is not None else plain | None, option)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _plain(annotation: Any) -> type:
    """Return the type of an option's value on the command line: a number if possible, else text."""
    kinds = (annotation,) if _is_list(annotation) else (annotation, *get_args(annotation))
    return next((kind for kind in (int, float) if kind in kinds), str)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is Sequence


def _annotated(kind: Any, option: Any) -> Any:
    return operator.getitem(cast("Any", Annotated), (kind, option))  # its type is known only at run time


def _value(name: str, kind: type[SharedOptions], value: Any) -> Any:
    """Convert a value of the command line to the library's."""
    if name == "settings":
        return pairs(value)
    if name in LISTS:
        return numbers(f"--{name.replace('_', '-')}", value, LISTS[name])
    return columns(value) if _is_list(kind.model_fields[name].annotation) else value
