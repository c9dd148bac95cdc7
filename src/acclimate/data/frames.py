"""Data frames of pandas, as polars frames."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.errors import BadInput, first_line


class PandasSeries(Protocol):
    """A pandas series, as far as it is read."""

    def to_numpy(self) -> NDArray[np.generic]:
        """Return the values as an array."""

    def tolist(self) -> list[object]:
        """Return the values as Python's own."""

    def isna(self) -> "PandasSeries":
        """Return which values are missing."""


class PandasFrame(Protocol):
    """A pandas data frame, as far as it is read. Its index is not read."""

    @property
    def columns(self) -> Iterable[Hashable]:
        """The names of the columns."""

    def __getitem__(self, column: Hashable, /) -> PandasSeries: ...


def to_polars(frame: PandasFrame, name: str, *, unread: str | None = None) -> pl.DataFrame:
    """Return a pandas frame as a polars one, without pyarrow, which `polars.from_pandas` needs.

    The column ``unread`` becomes null without being looked at.

    Raises:
        BadInput: Two columns have the same name, or a column mixes types.
    """
    columns = list(frame.columns)
    twice = [column for column, n in Counter(map(str, columns)).items() if n > 1]
    if twice:
        raise BadInput(f"{name}: has two columns {twice[0]!r}; rename one")
    read = [series_to_polars(frame[column], str(column), name) for column in columns if str(column) != unread]
    return pl.DataFrame(read).with_columns(pl.lit(None).alias(c) for c in map(str, columns) if c == unread)


def series_to_polars(series: "PandasSeries | pl.Series", column: str, name: str) -> pl.Series:
    """Return a pandas or polars series as a polars one; values that pandas calls missing are null.

    Raises:
        BadInput: It mixes types.
    """
    if isinstance(series, pl.Series):
        return series.alias(column)
    values = series.to_numpy()
    try:
        if values.dtype.kind in "iufbmM" and not _is_nullable(series):
            return pl.Series(column, _in_microseconds(values))
        return pl.Series(column, _with_none(series))
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise BadInput(
            f"{name}: column {column!r} mixes types ({first_line(error)}); convert it to one type or drop it"
        ) from error


def _is_nullable(series: PandasSeries) -> bool:
    """Return whether pandas stores the values in an array of its own, whose integers NumPy would turn to floats."""
    return not isinstance(getattr(series, "dtype", None), np.dtype)


def _in_microseconds(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return dates and durations in a unit that polars has; numbers stay as they are."""
    return values.astype(f"{values.dtype.kind}8[us]") if values.dtype.kind in "mM" else values


def _with_none(series: PandasSeries) -> Sequence[object]:
    return [None if missing else value for value, missing in zip(series.tolist(), series.isna().tolist(), strict=True)]
