"""The examples of two domains as rows of numbers on comparable scales, without anything that learns from labels."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray

from acclimate.data.domain import Domain, Vectors

Rows = NDArray[np.float64]

VALUES = 20
"""Most values of a category that have a column of their own."""
COMPONENTS = 100
"""Columns that sparse rows are reduced to."""
LARGEST = 10.0
"""Bound on a standardised number, so that no single one outweighs all others."""


def rows_of(source: Domain, target: Domain) -> tuple[Rows, Rows]:
    """Return both domains as standardised rows ``(n, d)`` and ``(m, d)``; texts as reduced tf-idf rows.

    Raises:
        BadInput: The domains are images, which need features of a backbone.
    """
    if source.kind == "table":
        return standardised(*_of_tables(source.table, target.table))
    if source.kind == "text":
        return standardised(*_of_texts(source.texts, target.texts))
    return standardised(*_of_vectors(source.vectors, target.vectors))


def standardised(source: NDArray[np.floating], target: NDArray[np.floating]) -> tuple[Rows, Rows]:
    """Return both with a mean of 0 and a standard deviation of 1 over the two together, each having the same weight."""
    a, b = source.astype(np.float64), target.astype(np.float64)
    mean = (a.mean(0) + b.mean(0)) / 2
    spread = np.sqrt((np.square(a - mean).mean(0) + np.square(b - mean).mean(0)) / 2)
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    a, b = (((x - mean)[:, varies] / spread[varies]).clip(-LARGEST, LARGEST) for x in (a, b))
    return a, b


def reduced(*parts: Rows, directions: int) -> list[Rows]:
    """Return rows ``(n_i, d)`` in their principal directions, all together, if they have more columns than that."""
    if parts[0].shape[1] <= directions:
        return list(parts)
    from sklearn.decomposition import PCA

    model = PCA(directions, svd_solver="randomized", random_state=0).fit(np.concatenate(parts))
    return [model.transform(part) for part in parts]


def _of_tables(source: pl.DataFrame, target: pl.DataFrame) -> tuple[Rows, Rows]:
    columns = [
        part for name in source.columns if name in target.columns for part in _column(source[name], target[name])
    ]
    both = np.stack(columns, 1) if columns else np.zeros((source.height + target.height, 0))
    return both[: source.height], both[source.height :]


def _column(source: pl.Series, target: pl.Series) -> Iterator[Rows]:
    """Yield a column as numbers, the source's first: missing ones as the median and a flag, values as flags."""
    both = source, target
    if any(one.null_count() for one in both):
        yield np.concatenate([one.is_null().to_numpy().astype(np.float64) for one in both])
    if all(one.dtype in (pl.Date, pl.Datetime) for one in both):
        both = source.dt.epoch("s"), target.dt.epoch("s")
    if all(one.dtype.is_numeric() for one in both):
        numbers = np.concatenate([one.cast(pl.Float64).to_numpy() for one in both])
        known = numbers[np.isfinite(numbers)]
        yield np.where(np.isfinite(numbers), numbers, np.median(known) if len(known) else 0.0)
    elif not any(one.dtype.is_nested() or one.dtype.is_temporal() for one in both):
        texts = pl.concat([one.cast(pl.String) for one in both])
        for value in texts.drop_nulls().value_counts(sort=True)[texts.name].head(VALUES):
            yield (texts == value).fill_null(False).to_numpy().astype(np.float64)


def _of_vectors(source: Vectors, target: Vectors) -> tuple[Rows, Rows]:
    if isinstance(source, np.ndarray) and isinstance(target, np.ndarray):
        return source.astype(np.float64), target.astype(np.float64)
    return _reduced(scipy.sparse.csr_array(source), scipy.sparse.csr_array(target))


def _of_texts(source: list[str], target: list[str]) -> tuple[Rows, Rows]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        rows = TfidfVectorizer(min_df=2, max_features=20_000, sublinear_tf=True).fit_transform([*source, *target])
    except ValueError:  # no word occurs twice
        return np.zeros((len(source), 0)), np.zeros((len(target), 0))
    return _reduced(rows[: len(source)], rows[len(source) :])


def _reduced(source: scipy.sparse.csr_array, target: scipy.sparse.csr_array) -> tuple[Rows, Rows]:
    from sklearn.decomposition import TruncatedSVD

    both = scipy.sparse.vstack([source, target]).tocsr()
    if min(both.shape) <= COMPONENTS:
        rows = both.toarray()
    else:
        rows = TruncatedSVD(COMPONENTS, random_state=0).fit_transform(both)
    return rows[: source.shape[0]], rows[source.shape[0] :]
