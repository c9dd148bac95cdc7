"""Tables: CSV and Parquet, their columns as features or one of them as text."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data.domain import Domain
from acclimate.errors import BadInput, did_you_mean

ENDINGS = (".csv", ".csv.gz", ".parquet")


class Columns(NamedTuple):
    """What the columns of a table are for."""

    label: str | None = None
    text: str | None = None
    drop: tuple[str, ...] = ()
    must_have_label: bool = False


def from_table(path: Path, part: str | None, *, name: str, columns: Columns) -> Domain:
    """A domain of a table's rows; ``part`` is ``column=value``. The columns of part and label are no features."""
    frame = _read(path)
    if part:
        frame = _choose(frame, part, path)
    if frame.height == 0:
        raise BadInput(f"{name}: has no rows")
    label, text, drop, must_have_label = columns
    for column in [*drop, *([text] if text else []), *([label] if label and must_have_label else [])]:
        _require(frame, column, path)
    labels = _labels(frame, label, name) if label and label in frame.columns else None
    names = [str(i) for i in range(frame.height)]
    if text:
        texts = frame[text].cast(pl.String).fill_null("").to_list()
        return Domain(name, "text", texts, names, labels)
    features = frame.drop([c for c in (label, *drop) if c and c in frame.columns])
    if features.width == 0:
        raise BadInput(f"{name}: no column is left to learn from; drop fewer")
    _refuse_infinite(features, name)
    return Domain(name, "table", features, names, labels)


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=None, try_parse_dates=True)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError, ValueError) as error:
        why = (str(error).splitlines() or ["unknown reason"])[0]
        mend = "save it as UTF-8" if "utf" in why.lower() else "is it whole, and what its name says?"
        raise BadInput(f"{path}: not a readable table ({why}); {mend}") from error
    except BaseException as error:  # polars panics on some damaged files, and a panic is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise BadInput(f"{path}: not a readable table; is it whole, and what its name says?") from error


def _choose(frame: pl.DataFrame, part: str, path: Path) -> pl.DataFrame:
    column, equals, value = part.partition("=")
    if not equals:
        raise BadInput(f"{path}: part {part!r} of a table is written column=value, e.g. #site=va")
    _require(frame, column, path)
    values = frame[column].cast(pl.String)
    if not (values == value).any():
        known = [v for v in values.unique().to_list() if v is not None]
        raise BadInput(f"{path}: no row has {column}={value}; {did_you_mean(value, known[:50])}")
    return frame.filter(values == value).drop(column)


def _require(frame: pl.DataFrame, column: str, path: Path) -> None:
    if column not in frame.columns:
        raise BadInput(f"{path}: has no column {column!r}; {did_you_mean(column, frame.columns)}")


def _labels(frame: pl.DataFrame, label: str, name: str) -> NDArray[np.str_]:
    values = frame[label]
    if values.null_count():
        first = int(values.is_null().arg_max() or 0)
        raise BadInput(
            f"{name}: {values.null_count()} rows have no {label!r}, first row {first}; fill them or leave them out"
        )
    if values.dtype.is_float() and bool((values == values.round(0)).all()):
        values = values.cast(pl.Int64)
    return values.cast(pl.String).to_numpy().astype(np.str_)


def _refuse_infinite(frame: pl.DataFrame, name: str) -> None:
    for column in frame.iter_columns():
        if column.dtype.is_float() and bool(column.is_infinite().any()):
            raise BadInput(f"{name}: column {column.name!r} has infinite values; fill or remove them")
