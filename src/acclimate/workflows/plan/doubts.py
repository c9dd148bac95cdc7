"""What in the data is likely a mistake, though it can be trained on: told as warnings."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data import Domain
from acclimate.data.several import lacking
from acclimate.recipe import Task

FEWEST = 10
"""Examples of a target below which there is too little to adapt to."""
SHOWN = 5
"""Most classes that a warning names."""
WORDS = 4
"""Mean number of words from which the values of a column are taken for text."""
ROWS, COLUMNS = 2000, 500
"""Most rows, drawn at random, and most columns that are looked at."""
CATEGORIES = 50
"""Most different values of a column that each get a prediction of their own."""
LEAST_HELD_OUT = 50
GIVEN_AWAY = 0.99
"""Share of held-out labels that one column alone gives away."""
LARGEST_CLASS = 0.9
"""Share of the largest class up to which such a share means something."""
CORRELATED = 0.999
"""Correlation from which a column is taken for the number itself, in other units."""


def of_target(target: Domain) -> Iterator[str]:
    """Yield a warning if there is too little to adapt to."""
    if len(target) < FEWEST:
        examples = f"{len(target)} example{'s' * (len(target) > 1)}"
        yield f"{target.name}: only {examples}, too few to adapt to; give at least {FEWEST}, better hundreds"


def of_source(source: Domain, task: Task) -> Iterator[str]:
    """Yield warnings about classes that one of several sources lacks, and about columns of a table.

    Columns may look like text, or give the label away.
    """
    if task == "classification":
        for one, missing in lacking(source):
            named = ", ".join(map(repr, missing[:SHOWN])) + (
                f" and {len(missing) - SHOWN} more" * (len(missing) > SHOWN)
            )
            yield f"{one.name}: has no example of class {named}; the other sources have"
    if source.kind != "table":
        return
    rows = np.random.default_rng(0).permutation(len(source))[:ROWS]
    some = source.take(rows)
    frame = some.table.select(some.table.columns[:COLUMNS])
    if texts := [column.name for column in frame if _reads_like_text(column)]:
        named = ", ".join(map(repr, texts))
        listed = ",".join(texts)
        yield (
            f"{source.name}: {named} look{'s' * (len(texts) == 1)} like text; learn from the words with "
            f"--text {listed}, or leave out with --drop {listed}"
        )
    for column in frame:
        if column.name not in texts and (told := _given_away(column, some, task)):
            yield (
                f"{source.name}: column {column.name!r} alone {told}; leave it out with --drop {column.name} if it is "
                "made from the label, or unknown when the model is used"
            )


def _reads_like_text(column: pl.Series) -> bool:
    """Whether most values of a column differ, and have several words."""
    values = column.drop_nulls()
    if values.dtype != pl.String or not len(values) or values.n_unique() <= len(values) / 2:
        return False
    words = values.str.strip_chars().str.split(" ").list.len().mean()
    return isinstance(words, float) and words >= WORDS


def _given_away(column: pl.Series, source: Domain, task: Task) -> str:
    """What a column alone tells of the labels; empty if that is not nearly all."""
    if task == "regression":
        found = _correlation(column, source.numbers())
        return f"has a correlation of {found:.4f} with the label" if abs(found) >= CORRELATED else ""
    codes = source.codes(source.classes)
    half = len(codes) // 2
    if half < LEAST_HELD_OUT or np.bincount(codes).max() > LARGEST_CLASS * len(codes):
        return ""
    share = float(np.mean(_predicted(column, codes[:half]) == codes[half:]))
    return f"predicts {share:.1%} of the labels of held-out rows" if share >= GIVEN_AWAY else ""


def _predicted(column: pl.Series, known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Predict the classes of a column's last rows from those of the first: by value, or by thresholds of numbers."""
    if column.dtype.is_numeric() and column.n_unique() > CATEGORIES:
        return _by_thresholds(column, known)
    rows = pl.DataFrame({"value": column[: len(known)].cast(pl.String), "code": known})
    usual = rows.group_by("value").agg(pl.col("code").mode().min())
    asked = pl.DataFrame({"value": column[len(known) :].cast(pl.String)})
    found = asked.join(usual, on="value", how="left", nulls_equal=True, maintain_order="left")["code"]
    return found.fill_null(-1).to_numpy()


def _by_thresholds(column: pl.Series, known: NDArray[np.int64]) -> NDArray[np.int64]:
    from sklearn.tree import DecisionTreeClassifier  # slow to import

    lowest = column.cast(pl.Float64).min()
    missing = lowest - 1 if isinstance(lowest, float) else 0.0
    values = column.cast(pl.Float64).fill_null(missing).to_numpy()[:, None]
    leaves = 4 * len(np.unique(known))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(values[: len(known)], known)
    return np.asarray(tree.predict(values[len(known) :]), dtype=np.int64)


def _correlation(column: pl.Series, numbers: NDArray[np.float64]) -> float:
    if not column.dtype.is_numeric() or column.null_count():
        return 0.0
    values = column.cast(pl.Float64).to_numpy()
    if not np.ptp(values) or not np.ptp(numbers) or len(values) < LEAST_HELD_OUT:
        return 0.0
    return float(np.corrcoef(values, numbers)[0, 1])
