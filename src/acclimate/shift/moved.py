"""Which columns of a table, or which words, differ most between two domains."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from acclimate.contents import Moved, MovedKind
from acclimate.data.domain import Domain, Vectors

MOST = 12
"""Most columns or words that are listed."""
ROWS = 20_000
"""Most rows of a domain that are compared, drawn at random."""
LEAST = 0.1
"""Smallest effect that is listed; 0.2 is commonly called small."""
LARGEST = 99.0
"""Bound on an effect, which is infinite where neither domain varies."""
WORDS = 20_000
"""Most words that are compared."""
NAME_LETTERS = 200
"""Most characters of a column's name or value that are kept."""


def moved(source: Domain, target: Domain) -> list[Moved]:
    """Return the columns or words that differ most, largest effect first; empty for images.

    The effect is the standardised mean difference, target minus source, of a number; of a value, a missing entry or a
    word it is that of its indicator, so that all of them compare.
    """
    found = sorted(_compare(_drawn(source), _drawn(target)), key=lambda one: -abs(one["effect"]))
    return [one for one in found[:MOST] if abs(one["effect"]) >= LEAST]


def standardised_difference(source: float, target: float, variances: tuple[float, float]) -> float:
    r"""Return :math:`(m_t - m_s) / \sqrt{(v_s + v_t) / 2}`, at most 99 in size; 0 for equal means.

    Reference:
        Austin, Balance diagnostics for comparing the distribution of baseline covariates, Statistics in Medicine 2009.
        doi:10.1002/sim.3697

    Example:
        >>> standardised_difference(1.0, 3.0, (3.0, 5.0)), standardised_difference(1.0, 2.0, (0.0, 0.0))
        (1.0, 99.0)
    """
    if not math.isfinite(difference := target - source) or difference == 0:
        return 0.0
    spread = math.sqrt(sum(variances) / 2)
    return float(np.clip(difference / spread, -LARGEST, LARGEST)) if spread else math.copysign(LARGEST, difference)


def _compare(source: Domain, target: Domain) -> list[Moved]:
    kinds = {source.kind, target.kind}
    if kinds == {"table"}:
        return list(_of_columns(source.table, target.table))
    if kinds == {"vectors"}:
        return _of_vectors(source.vectors, target.vectors)
    return _of_words(source.texts, target.texts) if kinds == {"text"} else []


def _drawn(domain: Domain) -> Domain:
    if len(domain) <= ROWS:
        return domain
    return domain.take(np.sort(np.random.default_rng(0).permutation(len(domain))[:ROWS]))


def _of_columns(source: pl.DataFrame, target: pl.DataFrame) -> Iterator[Moved]:
    """Yield for each column its mean or its most changed value, and its missing entries."""
    for name in (name for name in source.columns if name in target.columns):
        of_source, of_target = source[name], target[name]
        yield _of_shares("missing", name, "", *(float(c.null_count()) / max(len(c), 1) for c in (of_source, of_target)))
        known = of_source.drop_nulls(), of_target.drop_nulls()
        if min(map(len, known)) == 0:
            continue
        if all(column.dtype.is_numeric() for column in known):
            yield _of_means("mean", name, *(column.cast(pl.Float64).to_numpy() for column in known))
        elif all(column.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) for column in known):
            yield _most_changed_value(name, *(column.cast(pl.String) for column in known))


def _of_means(kind: MovedKind, name: str, source: NDArray[np.float64], target: NDArray[np.float64]) -> Moved:
    source, target = source[np.isfinite(source)], target[np.isfinite(target)]
    if not (len(source) and len(target)):
        return _entry(kind, name, "", 0.0, 0.0, 0.0)
    means = float(source.mean()), float(target.mean())
    effect = standardised_difference(*means, (float(source.var()), float(target.var())))
    return _entry(kind, name, "", *means, effect)


def _of_shares(kind: MovedKind, name: str, value: str, source: float, target: float) -> Moved:
    effect = standardised_difference(source, target, (source * (1 - source), target * (1 - target)))
    return _entry(kind, name, value, source, target, effect)


def _entry(kind: MovedKind, name: str, value: str, source: float, target: float, effect: float) -> Moved:
    return {
        "kind": kind,
        "name": name[:NAME_LETTERS],
        "value": value[:NAME_LETTERS],
        "source": float(f"{source:.6g}"),
        "target": float(f"{target:.6g}"),
        "effect": round(effect, 4),
    }


def _most_changed_value(name: str, source: pl.Series, target: pl.Series) -> Moved:
    shares = [dict(column.value_counts(normalize=True, name="share").iter_rows()) for column in (source, target)]
    changed = (
        _of_shares("value", name, value, shares[0].get(value, 0.0), shares[1].get(value, 0.0))
        for value in sorted(shares[0].keys() | shares[1].keys())
    )
    return max(changed, key=lambda one: abs(one["effect"]))


def _of_vectors(source: Vectors, target: Vectors) -> list[Moved]:
    if scipy.sparse.issparse(source) or scipy.sparse.issparse(target):
        return []
    columns = zip(np.asarray(source, np.float64).T, np.asarray(target, np.float64).T, strict=True)
    return [_of_means("mean", f"feature {i}", *pair) for i, pair in enumerate(columns)]


def _of_words(source: Sequence[str], target: Sequence[str]) -> list[Moved]:
    """Return each word's share of the texts that contain it."""
    counter = CountVectorizer(binary=True, max_features=WORDS)
    try:
        counts = counter.fit_transform([*source, *target])
    except ValueError:  # there is not a single word
        return []
    parts = counts[: len(source)], counts[len(source) :]
    shares = [np.minimum(np.asarray(part.mean(0)).ravel(), 1) for part in parts]  # rounding may exceed 1
    variances = [share * (1 - share) for share in shares]
    spread = np.sqrt((variances[0] + variances[1]) / 2)
    effects = (shares[1] - shares[0]) / np.where(spread == 0, 1 / LARGEST, spread)
    words = counter.get_feature_names_out()
    return [
        _of_shares("word", str(words[i]), "", float(shares[0][i]), float(shares[1][i]))
        for i in np.argsort(-np.abs(effects), kind="stable")[:MOST]
    ]
