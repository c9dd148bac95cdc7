"""Tests of single columns: of numbers, of categories, of missing entries, and of words."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, ks_2samp, mannwhitneyu, norm

from acclimate.shift.effects import effect_of_distance
from acclimate.shift.findings import Bars
from acclimate.shift.moved import standardised_difference

Numbers = NDArray[np.float64]

VALUES = 50
"""Most values of a category that are told apart; the rarer ones count as one."""
DISCRETE = 6
"""Different numbers up to which a column is compared value by value."""
BARS = 16
NAME_LETTERS = 60
"""Most characters of a column's name or value."""
MEAN_TELLS = 0.5
"""Share of the effect from which on a moved mean is what it is described by."""


class Tested(NamedTuple):
    """The result of one column's test, its p-value not yet corrected."""

    name: str
    test: str
    statistic: float
    p: float
    effect: float
    text: str
    bars: Bars | None


def column_tests(source: pl.DataFrame, target: pl.DataFrame) -> Iterator[Tested]:
    """Yield the tests of each column that both tables have: of its values, and of missing entries if there are any."""
    for name in (name for name in source.columns if name in target.columns):
        a, b = source[name], target[name]
        if a.null_count() or b.null_count():
            yield missing_test(name, a, b)
        known = _alike(a.drop_nulls(), b.drop_nulls())
        if known is None or min(map(len, known)) < 2:
            continue
        if known[0].dtype == pl.Float64 and pl.concat(known).n_unique() > DISCRETE:
            yield number_test(name, known[0].to_numpy(), known[1].to_numpy())
        else:
            yield category_test(name, *(_as_text(one) for one in known))


def _alike(source: pl.Series, target: pl.Series) -> tuple[pl.Series, pl.Series] | None:
    """Return both as numbers or both as text; None for what is neither."""
    both = source, target
    if all(one.dtype.is_numeric() for one in both):
        numbers = [one.cast(pl.Float64) for one in both]
        return numbers[0].filter(numbers[0].is_finite()), numbers[1].filter(numbers[1].is_finite())
    if all(one.dtype in (pl.Date, pl.Datetime) for one in both):
        return source.dt.epoch("s").cast(pl.Float64), target.dt.epoch("s").cast(pl.Float64)
    if any(one.dtype.is_nested() or one.dtype.is_temporal() for one in both):
        return None
    return source.cast(pl.String), target.cast(pl.String)


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype != pl.Float64:
        return column
    return pl.Series(column.name, [f"{value:g}" for value in column.to_list()], dtype=pl.String)


def number_test(name: str, source: Numbers, target: Numbers) -> Tested:
    """Test whether a column of numbers differs: in its distribution (Kolmogorov–Smirnov) or its ranks (Mann–Whitney).

    The p-value is twice the smaller of the two, since either may find it.
    """
    distance = ks_2samp(source, target, method="exact" if max(len(source), len(target)) <= 50 else "asymp")
    same = np.ptp(np.concatenate([source, target])) == 0
    ranks = 1.0 if same else float(mannwhitneyu(source, target, method="asymptotic").pvalue)
    moved = standardised_difference(
        float(source.mean()), float(target.mean()), (float(source.var()), float(target.var()))
    )
    statistic = float(distance.statistic)
    of_shape = effect_of_distance(statistic)
    effect = moved if abs(moved) > of_shape else np.copysign(of_shape, moved)
    text = _told_number(name, source, target, moved, of_shape)
    p = min(1.0, 2 * min(float(distance.pvalue), ranks))
    effect = float(np.clip(effect, -10, 10))
    return Tested(name, "Kolmogorov–Smirnov and Mann–Whitney", statistic, p, effect, text, number_bars(source, target))


def _told_number(name: str, source: Numbers, target: Numbers, moved: float, of_shape: float) -> str:
    means, spreads = (source.mean(), target.mean()), (source.std(), target.std())
    if abs(moved) >= MEAN_TELLS * of_shape:
        size = f"{abs(moved):.2g} standard deviations" if abs(moved) < 10 else "more than 10 standard deviations"
        return f"{_short(name)}: mean {'up' if moved > 0 else 'down'} by {size} ({_arrow(*means)})"
    return (
        f"{_short(name)}: its distribution changes shape (mean {_arrow(*means)}, standard deviation {_arrow(*spreads)})"
    )


def category_test(name: str, source: pl.Series, target: pl.Series) -> Tested:
    """Test whether the shares of a column's values differ (chi-square); rare values count as one."""
    values, counts = _counts(source, target)
    statistic, p = chi_square(counts)
    shares = counts / counts.sum(1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    largest = int(np.abs(shares[0] - shares[1]).argmax())
    change = f"{_short(values[largest])}: {percent(shares[0, largest])} → {percent(shares[1, largest])}"
    text = f"{_short(name)}: the values of {percent(distance)} of the rows change (mostly {change})"
    bars = Bars(tuple(map(_short, values)), *(tuple(row) for row in shares.round(4).tolist()))
    return Tested(name, "chi-square", statistic, p, effect_of_distance(distance), text, bars)


def _counts(source: pl.Series, target: pl.Series) -> tuple[list[str], NDArray[np.int64]]:
    """The most frequent values of both, and how often each occurs in either ``(2, k)``; the others come last."""
    of_both = [dict(column.value_counts(name="n").iter_rows()) for column in (source, target)]
    often = {
        v: of_both[0].get(v, 0) / len(source) + of_both[1].get(v, 0) / len(target) for v in {*of_both[0], *of_both[1]}
    }
    ordered = sorted(often, key=lambda v: (-often[v], v))
    counts = np.array([[counts.get(v, 0) for v in ordered] for counts in of_both], dtype=np.int64)
    if len(ordered) <= VALUES:
        return ordered, counts
    others = counts[:, VALUES:].sum(1, keepdims=True)
    return [*ordered[:VALUES], "others"], np.concatenate([counts[:, :VALUES], others], 1)


def chi_square(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the statistic and the p-value of whether two rows of counts ``(2, k)`` have the same shares.

    Values that are expected less than five times in a domain count as one.

    Example:
        >>> [round(value, 3) for value in chi_square(np.array([[50, 50], [70, 30]]))]
        [8.333, 0.004]
    """
    expected = counts.sum(0) * (counts.sum(1) / counts.sum())[:, None]
    rare = (expected < 5).any(0)
    if rare.any():
        counts = np.concatenate([counts[:, ~rare], counts[:, rare].sum(1, keepdims=True)], 1)
    counts = counts[:, counts.sum(0) > 0]
    if counts.shape[1] < 2:
        return 0.0, 1.0
    found = chi2_contingency(counts, correction=False)
    return float(found.statistic), float(found.pvalue)


def missing_test(name: str, source: pl.Series, target: pl.Series) -> Tested:
    """Test whether the share of missing entries differs."""
    counts = np.array([[one.null_count(), len(one) - one.null_count()] for one in (source, target)])
    statistic, p = chi_square(counts)
    shares = counts[:, 0] / counts.sum(1)
    effect = float(np.copysign(effect_of_distance(abs(shares[1] - shares[0])), shares[1] - shares[0]))
    bars = Bars(("missing", "known"), *((float(share), float(1 - share)) for share in shares.round(4)))
    text = f"{_short(name)}: missing in {percent(shares[0])} of the source and {percent(shares[1])} of the target"
    return Tested(f"{name}, missing", "chi-square", statistic, p, effect, text, bars)


def vector_tests(source: Numbers, target: Numbers, names: Sequence[str]) -> Iterator[Tested]:
    """Yield the test of each column of ``source (n, d)`` and ``target (m, d)``."""
    for j, name in enumerate(names):
        yield number_test(name, np.asarray(source[:, j], np.float64), np.asarray(target[:, j], np.float64))


def word_tests(
    shares: NDArray[np.float64],
    counts: tuple[int, int],
    names: Sequence[str],
    form: str = "“{}” is in {} of the source's texts and {} of the target's",
) -> Iterator[Tested]:
    """Yield the test of each word by the share of texts that contain it.

    Args:
        shares: Share of the source's and the target's texts ``(2, k)``.
        counts: The numbers of texts.
        names: The words.
        form: The sentence, with places for the word and both shares.
    """
    together = shares.T @ np.array(counts) / sum(counts)
    error = np.sqrt(together * (1 - together) * (1 / counts[0] + 1 / counts[1]))
    z = (shares[1] - shares[0]) / np.where(error > 0, error, np.inf)
    for j, p in enumerate(2 * norm.sf(np.abs(z))):
        a, b = shares[:, j].tolist()
        effect = float(np.copysign(effect_of_distance(abs(b - a)), b - a))
        text = form.format(_short(names[j]), percent(a), percent(b))
        bars = Bars(("with it", "without"), (a, 1 - a), (b, 1 - b))
        yield Tested(str(names[j]), "two proportions", float(z[j]), float(p), effect, text, bars)


def number_bars(source: Numbers, target: Numbers) -> Bars:
    """Return the shares of both domains in intervals from the 1st to the 99th percentile of both."""
    low = min(np.quantile(source, 0.01), np.quantile(target, 0.01))
    high = max(np.quantile(source, 0.99), np.quantile(target, 0.99))
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    shares = [
        tuple((np.histogram(x.clip(edges[0], edges[-1]), edges)[0] / len(x)).round(4).tolist())
        for x in (source, target)
    ]
    return Bars(tuple(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges.tolist())), *shares)


def percent(share: float) -> str:
    """Return a share as a percentage that is 0 or 100 only if the share is.

    Example:
        >>> percent(0.256), percent(0.001), percent(0.998), percent(1.0)
        ('26%', '<1%', '>99%', '100%')
    """
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def _arrow(before: float, after: float) -> str:
    return f"{before:.3g} → {after:.3g}"


def _short(text: str) -> str:
    return text if len(text) <= NAME_LETTERS else text[: NAME_LETTERS - 1] + "…"
