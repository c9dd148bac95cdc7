"""Tables: CSV and Parquet, their columns as features, some of them as text, or one as paths of images."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data.domain import Domain, ImagesAndTexts
from acclimate.data.listed import ListedImages
from acclimate.errors import BadInput, did_you_mean, first_line

ENDINGS = (".csv", ".csv.gz", ".parquet")

Holds = Literal["numbers", "dates", "text", "nothing"]
"""What a column of features holds, whatever the type it is stored as."""


class Columns(NamedTuple):
    """What the columns of a table are for; of text there may be several, by commas."""

    label: str | None = None
    text: str | None = None
    image: str | None = None
    drop: tuple[str, ...] = ()
    must_have_label: bool = False


def from_table(path: Path, part: str | None, *, name: str, columns: Columns) -> Domain:
    """A domain of a table's rows; ``part`` is ``column=value``. The columns of part and label are no features."""
    frame = _read(path)
    if part:
        frame = _choose(frame, part, path)
    if frame.height == 0:
        raise BadInput(f"{name}: has no rows below its header; give a table with examples")
    label, text, image, drop, must_have_label = columns
    written = _written(frame, text) if text else []
    _check_apart([("label", label), *(("text", column) for column in written), ("image", image)], name)
    of_source = [*drop, *([label] if label else [])] if must_have_label else []
    for column in [*of_source, *written, *([image] if image else [])]:
        _require(frame, column, path)
    labels = _labels(frame, label, name) if label and label in frame.columns else None
    names = [str(i) for i in range(frame.height)]
    if image:
        pictures = ListedImages(path, _as_text(frame[image], name).fill_null("").to_list(), range(frame.height))
        names = list(pictures.names())
        if text:
            return Domain(name, "image and text", ImagesAndTexts(pictures, _texts(frame[written], name)), names, labels)
        return Domain(name, "images", pictures, names, labels)
    if text:
        return Domain(name, "text", _texts(frame[written], name), names, labels)
    features = frame.drop([c for c in (label, *drop) if c and c in frame.columns])
    if features.width == 0:
        raise BadInput(f"{name}: no column is left to learn from; drop fewer")
    return Domain(name, "table", _missing_as_null(features, name), names, labels)


def _written(frame: pl.DataFrame, text: str) -> list[str]:
    """The columns of text asked for; a column may have a comma in its own name."""
    several = [column.strip() for column in text.split(",") if column.strip()]
    return [text] if text in frame.columns or not several else several


def _check_apart(columns: Sequence[tuple[str, str | None]], name: str) -> None:
    """Refuse one column for two purposes, or twice for one."""
    for (a, first), (b, second) in combinations(columns, 2):
        if first and first == second:
            how = f"is {a} twice; name it once" if a == b else f"cannot be both {a} and {b}; choose two columns"
            raise BadInput(f"{name}: column {first!r} {how}")


def common_columns(source: Domain, target: Domain) -> dict[str, Holds]:
    """What each of the source's columns holds in both domains together.

    Numbers in one and text in the other are text, which may spell numbers.

    Raises:
        BadInput: A column is in one domain alone, holds dates in one and something else in the other, or no
            column has a value.
    """
    require_columns(target, source.examples.columns)
    found: dict[str, Holds] = {}
    for column in source.examples.columns:
        kinds = {_holds(d.examples[column], d.name) for d in (source, target)} - {"nothing"}
        if "dates" in kinds and len(kinds) > 1:
            raise BadInput(
                f"{target.name}: column {column!r} holds dates in one domain and {min(kinds - {'dates'})} in the "
                "other; write the dates of both alike, e.g. 2024-01-31"
            )
        found[column] = "text" if len(kinds) > 1 else kinds.pop() if kinds else "nothing"
    if set(found.values()) == {"nothing"}:
        raise BadInput(f"{source.name}: no column has a single value to learn from; is it the right table?")
    return found


def require_columns(domain: Domain, columns: list[str]) -> None:
    """Check that a domain has these columns and no others.

    Raises:
        BadInput: It has more, or fewer.
    """
    there = domain.examples.columns
    if more := [c for c in there if c not in columns]:
        raise BadInput(
            f"{domain.name}: column {more[0]!r} is not in the source; {did_you_mean(more[0], columns)}; "
            f"rename it, remove it, or train with --drop {more[0]}"
        )
    if less := [c for c in columns if c not in there]:
        raise BadInput(f"{domain.name}: lacks the source's column {less[0]!r}; add it, or train with --drop {less[0]}")


def as_learnt(domain: Domain, columns: Mapping[str, Holds]) -> pl.DataFrame:
    """The domain's columns in the order and the types they were learnt with.

    Raises:
        BadInput: A column holds something else than it did.
    """
    require_columns(domain, list(columns))
    return pl.DataFrame([_as(domain.examples[c], holds, domain.name) for c, holds in columns.items()])


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        frame = pl.read_csv(path, infer_schema_length=None, try_parse_dates=True)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError, ValueError) as error:
        raise BadInput(_unreadable(path, first_line(error))) from error
    except BaseException as error:  # polars panics on some damaged files, and a panic is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise BadInput(_unreadable(path, "damaged")) from error
    if any("\0" in column for column in frame.columns):
        raise BadInput(f"{path}: not a CSV in UTF-8 (it has zero bytes); save it as UTF-8 text")
    if frame.width == 1 and (marks := [m for m in ";\t|" if m in frame.columns[0]]):
        raise BadInput(f"{path}: its columns are separated by {marks[0]!r}; save it with commas")
    return frame


def _unreadable(path: Path, why: str) -> str:
    if "utf" in why.lower():
        return f"{path}: not UTF-8 text ({why}); save it as UTF-8"
    if "empty CSV" in why:
        return f"{path}: is empty; give a table with a header and rows"
    if "more fields" in why:
        return f"{path}: a row has more fields than the header; quote the commas in it or mend the row"
    return f"{path}: not a readable table ({why}); is it whole, and what its name says?"


def _choose(frame: pl.DataFrame, part: str, path: Path) -> pl.DataFrame:
    column, equals, value = part.partition("=")
    if not equals:
        raise BadInput(f"{path}: part {part!r} of a table is written column=value, e.g. {path.name}#site=va")
    _require(frame, column, path)
    values = frame[column].cast(pl.String)
    if not (values == value).any():
        known = [v for v in values.unique().to_list() if v is not None]
        raise BadInput(f"{path}: no row has {column}={value}; {did_you_mean(value, known)}")
    return frame.filter(values == value).drop(column)


def _require(frame: pl.DataFrame, column: str, path: Path) -> None:
    if column not in frame.columns:
        raise BadInput(f"{path}: has no column {column!r}; {did_you_mean(column, frame.columns)}")


def _labels(frame: pl.DataFrame, label: str, name: str) -> NDArray[np.str_]:
    values = frame[label]
    if values.dtype.is_float():
        values = values.fill_nan(None)
        if bool((infinite := values.is_infinite().fill_null(False)).any()):
            raise BadInput(
                f"{name}: label {label!r} is infinite, first in row {infinite.arg_max()}; mend it or leave it out"
            )
        if bool((values == values.round(0)).all()):
            values = values.cast(pl.Int64)
    missing = values.is_null()
    if values.dtype == pl.String:
        missing |= (values.str.strip_chars() == "").fill_null(True)
    if missing.any():
        raise BadInput(
            f"{name}: {missing.sum()} rows have no {label!r}, first row {missing.arg_max()}; "
            "fill them or leave them out"
        )
    return _as_text(values, name).to_numpy().astype(np.str_)


def _texts(columns: pl.DataFrame, name: str) -> list[str]:
    """Each row's text; of several columns a line each, in the order they were asked for."""
    texts = ["\n".join(filter(None, row)) for row in zip(*(_as_text(c, name) for c in columns), strict=True)]
    if not any(text.strip() for text in texts):
        raise BadInput(f"{name}: column {','.join(columns.columns)!r} has no text in any row; is it the right column?")
    return texts


def _missing_as_null(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """NaN is a missing value like any other; an infinite one is a mistake."""
    for column in frame.iter_columns():
        if column.dtype.is_float() and bool((infinite := column.is_infinite()).any()):
            row = infinite.arg_max()
            raise BadInput(f"{name}: column {column.name!r} has infinite values, first row {row}; fill or remove them")
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _holds(column: pl.Series, name: str) -> Holds:
    if column.null_count() == len(column):
        return "nothing"
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Duration):
        return "numbers"
    if column.dtype in (pl.Date, pl.Datetime):
        return "dates"
    if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Time):
        return "text"
    raise BadInput(
        f"{name}: column {column.name!r} is of type {column.dtype}, which cannot be learnt from; "
        f"train with --drop {column.name}"
    )


def _as(column: pl.Series, holds: Holds, name: str) -> pl.Series:
    """``column`` with the type that stands for what it ``holds``."""
    here = _holds(column, name)
    if here == "nothing" or holds == "nothing":
        return pl.Series(column.name, [None] * len(column), dtype=_TYPES[holds])
    if holds == "text":
        return _as_text(column, name)
    if here == holds or (here == "text" and holds == "numbers"):
        return _as_type(column, _TYPES[holds], name, holds)
    raise BadInput(f"{name}: column {column.name!r} holds {here}, and {holds} in the source; write both alike")


_TYPES: Mapping[Holds, pl.DataType] = {
    "numbers": pl.Float64(),
    "dates": pl.Datetime("us"),
    "text": pl.String(),
    "nothing": pl.Float64(),
}


def _as_type(column: pl.Series, dtype: pl.DataType, name: str, holds: Holds) -> pl.Series:
    if column.dtype == pl.Duration:
        column = column.dt.total_microseconds() / 1e6
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    found = column.cast(dtype, strict=False)
    if (lost := found.is_null() & ~column.is_null()).any():
        row = int(lost.arg_max() or 0)
        raise BadInput(
            f"{name}: column {column.name!r} has {str(column[row])!r} in row {row}, and {holds} in the source; "
            "mend it or leave it empty"
        )
    return found


def _as_text(column: pl.Series, name: str) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise BadInput(
            f"{name}: column {column.name!r} is of type {column.dtype}, not text; save it as text"
        ) from error
