"""Labels as they are given, in an array or a column, to labels as a `Domain` holds them."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data.domain import LabelType
from acclimate.errors import BadInput


class Labels(NamedTuple):
    """Labels as text ``(n,)``, and how they were given; without labels, what a domain without labels has."""

    values: NDArray[np.str_] | None = None
    type: LabelType = "text"
    set_aside: bool = False


SET_ASIDE = Labels(set_aside=True)
"""What a domain has whose labels nothing reads."""


def from_array(y: NDArray[np.generic], n: int, name: str) -> Labels:
    """Read labels ``y (n,)``.

    Raises:
        BadInput: The shape is another one, or a label is missing or infinite.
    """
    if y.shape != (n,):
        raise BadInput(f"{name}: y has shape {y.shape}, and x has {n} rows; give one label per row, y of shape ({n},)")
    if y.dtype == object:
        values = [None if _is_missing(value) else value for value in y.tolist()]
        return from_column(pl.Series("y", values, strict=False), "y", name)
    if np.issubdtype(y.dtype, np.floating):
        return _from_floats(y, name)
    if y.dtype.kind == "S":
        y = np.char.decode(y.astype(np.bytes_), "utf-8", "replace")
    return Labels(y.astype(np.str_), "integer" if y.dtype.kind in "iu" else "text")


def _from_floats(y: NDArray[np.generic], name: str) -> Labels:
    if not (finite := np.isfinite(y)).all():
        raise BadInput(
            f"{name}: y is missing or infinite in {(~finite).sum()} of {len(y)} rows, first in row "
            f"{int(np.argmin(finite))}; fill them in or remove the rows"
        )
    whole = bool((y == np.rint(y)).all()) and float(np.abs(y).max(initial=0)) < 2**53
    return Labels((y.astype(np.int64) if whole else y).astype(np.str_), "number")


def _is_missing(value: object) -> bool:
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in {"NAType", "NaTType"}  # pandas' own


def from_column(values: pl.Series, label: str, name: str) -> Labels:
    """Read the labels in the column ``label`` of a table.

    Raises:
        BadInput: A label is missing or infinite, or the column's type cannot be written as text.
    """
    kind: LabelType = "integer" if values.dtype.is_integer() else "number" if values.dtype.is_numeric() else "text"
    if values.dtype.is_float():
        values = _whole_as_integers(values.fill_nan(None), label, name)
    missing = values.is_null()
    if values.dtype == pl.String:
        missing |= (values.str.strip_chars() == "").fill_null(True)
    if missing.any():
        raise BadInput(
            f"{name}: label {label!r} is missing in {missing.sum()} of {len(values)} rows, first in row "
            f"{missing.arg_max()}; fill it in or remove the rows"
        )
    return Labels(as_text(values, name).to_numpy().astype(np.str_), kind)


def _whole_as_integers(values: pl.Series, label: str, name: str) -> pl.Series:
    if bool((infinite := values.is_infinite().fill_null(False)).any()):
        raise BadInput(
            f"{name}: label {label!r} is infinite, first in row {infinite.arg_max()}; correct it or remove the row"
        )
    whole = bool(((values == values.round(0)) & (values.abs() < 2**53)).all())
    return values.cast(pl.Int64) if whole else values


def as_text(column: pl.Series, name: str) -> pl.Series:
    """Return the column as text.

    Raises:
        BadInput: Its type cannot be written as text.
    """
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise BadInput(f"{name}: column {column.name!r} has type {column.dtype}, not text; save it as text") from error
