"""Gates: signs, without target labels, that a model has collapsed or has lost what it knew.

A gate compares a candidate with the source-only model of its pool, never with a fixed ideal: a target in which most
examples have one class, or in which classes are missing, is no collapse. Each gate gives a reason or an empty text.
The thresholds mark what no healthy model does; none was fitted to target labels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.shift import label_shift
from acclimate.validators.bnm import singular_values
from acclimate.validators.candidate import Candidate, Codes, Numbers, Probabilities
from acclimate.validators.collapse import ERRORS, LOST
from acclimate.validators.density_ratio import effective_sample_size, importance_weights
from acclimate.validators.feature_space import some_rows, unit_rows
from acclimate.validators.importance_weighted_accuracy import weighted_accuracy

LEAVE_SOURCE = frozenset({"nrc", "shot", "student"})
"""Methods that learn without the source: what they lose there says little about the target."""
PRESENT = 0.5
"""A class counts as present if it has this part of an even share: a rarer one that is lost costs less than that."""
FEW = 10
"""Examples below which a share or a recall proves nothing: its standard error is as large as what is looked for."""
REMAINS = 0.05
"""A class is lost if less than this part of its share remains: merged classes keep strays, a shift leaves more."""
RANK_REMAINS = 0.25
"""Predictions are flat if this part of the effective rank beyond one remains: three directions in four are gone."""
RECALL_REMAINS = 0.25
"""A class is unlearnt on the source if this part of its recall remains: adaptation trades, it does not forget."""
CHANCE = 3
"""Standard errors that chance may explain where many candidates are looked at: once in 700 times it exceeds them."""
ROOM = 0.25
"""Part of the room above agreement by chance that those errors may fill: beyond it a healthy model may seem random."""
BELOW_POOL = 0.1
"""Importance-weighted accuracy that a model may lack to the pool's 90th percentile, as published with the gate."""


def reasons(pool: Sequence[Candidate], source_only: int, *, own: Sequence[int] = ()) -> list[str]:
    """Return for each candidate the reason to reject it; empty if there is none.

    Source-only passes always, since it is what remains when all others are rejected.

    Args:
        pool: Candidates for the same target, and for the same source unless ``own`` tells otherwise.
        source_only: The position of the source-only model in the pool.
        own: For each candidate the position of the source-only model of its source, which what it gives for the source
            is compared with; by default ``source_only``.
    """
    base, own = pool[source_only], own or [source_only] * len(pool)
    far_below = _below_own_pool(pool, own)
    present = shares_present(pool, source_only)
    return [
        ""
        if i == source_only
        else collapsed(one, base, present) or unrelated(one, base) or _of_source(one, pool[own[i]], far_below[i])
        for i, one in enumerate(pool)
    ]


def _below_own_pool(pool: Sequence[Candidate], own: Sequence[int]) -> list[str]:
    """`below_pool` among the candidates of each source."""
    found = [""] * len(pool)
    for source in set(own):
        rows = [i for i, of in enumerate(own) if of == source]
        for i, reason in zip(rows, below_pool([pool[i] for i in rows]), strict=True):
            found[i] = reason
    return found


def _of_source(candidate: Candidate, source_only: Candidate, far_below: str) -> str:
    """Whether it lost what it knew of the source, unless a method that leaves the source shaped it."""
    return "" if candidate.methods & LEAVE_SOURCE else fell_on_source(candidate, source_only) or far_below


class Present(NamedTuple):
    """A share of each class that is surely in the target ``(k,)``: by source-only, and by most methods as well."""

    by_source_only: Numbers
    by_most: Numbers


def collapsed(candidate: Candidate, source_only: Candidate, present: Present) -> str:
    """Whether classes are lost, one class has taken the others' place, or all predictions are alike."""
    return (
        took_over(candidate, present.by_source_only)
        or lost_classes(candidate, present.by_most)
        or flat(candidate, source_only)
    )


def shares_present(pool: Sequence[Candidate], source_only: int) -> Present:
    """Return for each class a share of the target that it surely has.

    By source-only it is the smaller of two: the share predicted, which is too large for classes that attract errors,
    and the share estimated under label shift, which corrects that if only the shares have changed. By most methods it
    is at most what half of the pool's methods predict: they seldom lose the same class unless it is absent.
    """
    base, k = pool[source_only], pool[source_only].n_classes
    sure = shares(base.predicted, k)
    if len(np.unique(base.labels)) == k:  # else the estimate lacks held-out examples of a class
        given = (base.source, base.labels, base.target)
        sure = np.minimum(sure, label_shift.label_shift("em", *given, draws=0).shares)
    of_methods = [
        np.mean([shares(one.predicted, k) for one in pool if one.method == method], axis=0)
        for method in {one.method for one in pool}
    ]
    return Present(sure, np.minimum(sure, np.quantile(of_methods, 0.5, axis=0, method="higher")))


def shares(predicted: Codes, k: int) -> Numbers:
    """How often each of ``k`` classes occurs in ``predicted (n,)``: ``(k,)``."""
    return np.bincount(predicted, minlength=k) / len(predicted)


def took_over(candidate: Candidate, present: Numbers) -> str:
    """Whether all classes but one are lost together, though each may have been rare.

    The pool has no say: when training diverges, many models predict one class.
    """
    found, n = shares(candidate.predicted, candidate.n_classes), len(candidate.target)
    largest = int(found.argmax())
    others = float(present.sum() - present[largest])
    if n * others < FEW or 1 - found[largest] >= REMAINS * others:
        return ""
    share = f"{found[largest]:.1%} of the target"
    return f"it predicts class {largest} for {share}, source-only other classes for {others:.1%}"


def lost_classes(candidate: Candidate, present: Numbers) -> str:
    """Whether it hardly predicts a class that source-only predicts often.

    A class that source-only itself hardly predicts is not guarded: losing it costs little against source-only.
    """
    found, n, k = shares(candidate.predicted, candidate.n_classes), len(candidate.target), candidate.n_classes
    sure = (present >= PRESENT / k) & (n * present >= FEW)
    lost = np.flatnonzero(sure & (found < REMAINS * present))
    if not len(lost):
        return ""
    first = lost[0]
    more = f", and {len(lost) - 1} more classes" if len(lost) > 1 else ""
    return f"it predicts class {first} for {found[first]:.1%} of the target, source-only for {present[first]:.1%}{more}"


def effective_rank(p: Probabilities) -> float:
    r"""The exponential of the entropy of the singular values of ``p (n, k)``, divided by their sum: from 1 to ``k``.

    Reference:
        Roy & Vetterli, The Effective Rank: A Measure of Effective Dimensionality, EUSIPCO 2007
    """
    values = singular_values(p)
    values = values[values > 0] / values.sum()
    return float(np.exp(-(values * np.log(values)).sum()))


def flat(candidate: Candidate, source_only: Candidate) -> str:
    """Whether the predictions for the target are nearly the same row."""
    now, before = effective_rank(candidate.target), effective_rank(source_only.target)
    if len(candidate.target) < FEW * candidate.n_classes or now - 1 >= RANK_REMAINS * (before - 1):
        return ""
    return f"its predictions for the target are nearly alike: effective rank {now:.2f}, source-only's {before:.2f}"


def unrelated(candidate: Candidate, source_only: Candidate) -> str:
    """Whether predictions for the target are as good as random, for all their confidence.

    A classifier says the same of neighbours. Without features, agreement with source-only takes their place.
    """
    if candidate.target_features is None:
        return _random(candidate.predicted, source_only.predicted, "source-only")
    known = candidate.target_sample()
    rows = some_rows(len(known.features))
    predicted = known.predicted[rows]
    return _random(predicted, predicted[neighbours(known.features[rows])], "those for similar examples")


def _random(predicted: Codes, others: Codes, which: str) -> str:
    if len(predicted) != len(others):
        return ""
    agree, chance = float((predicted == others).mean()), by_chance(predicted, others)
    errors = CHANCE * np.sqrt(chance * (1 - chance) / len(predicted))
    if errors >= ROOM * (1 - chance) or agree > chance + errors:
        return ""
    return f"its predictions for the target look random: {agree:.1%} agree with {which}, by chance {chance:.1%}"


def neighbours(features: Numbers) -> Codes:
    """The row with the most similar direction to each of ``features (n, d)``, other than itself ``(n,)``."""
    directions = unit_rows(features)
    similar = directions @ directions.T
    np.fill_diagonal(similar, -np.inf)
    return np.asarray(similar.argmax(1), dtype=np.int64)


def by_chance(first: Codes, second: Codes) -> float:
    """How often two independent draws with the classes' shares in ``first (n,)`` and ``second (n,)`` are equal."""
    k = int(max(first.max(), second.max())) + 1
    return float(shares(first, k) @ shares(second, k))


def fell_on_source(candidate: Candidate, source_only: Candidate) -> str:
    """Whether accuracy on the source's validation split, or recall of one class there, fell beyond chance.

    Where both models were scored on the same examples, differences are paired.
    """
    after, before = candidate.right, source_only.right
    if fell(after, before, paired=same_examples(candidate, source_only)) > LOST:
        return f"accuracy on the source fell from {before.mean():.3f} to {after.mean():.3f}"
    if not same_examples(candidate, source_only):
        return ""
    for c in np.unique(source_only.labels):
        rows = source_only.labels == c
        if rows.sum() >= FEW and _unlearnt(after[rows], before[rows]):
            return f"recall of class {c} on the source fell from {before[rows].mean():.3f} to {after[rows].mean():.3f}"
    return ""


def _unlearnt(after: NDArray[np.bool_], before: NDArray[np.bool_]) -> bool:
    return bool(after.mean() < RECALL_REMAINS * before.mean() and fell(after, before, paired=True))


def same_examples(one: Candidate, other: Candidate) -> bool:
    """Whether both were scored on the same examples of the source, as far as labels tell."""
    return np.array_equal(one.labels, other.labels)


def fell(after: NDArray[np.bool_], before: NDArray[np.bool_], *, paired: bool) -> float:
    """By how much ``after (n,)`` has fewer right than ``before (m,)``; 0 if chance explains it."""
    difference = float(before.mean() - after.mean())
    if paired:
        variance = (before.astype(np.float64) - after).var() / len(before)
    else:
        variance = before.var() / len(before) + after.var() / len(after)
    return difference if difference > ERRORS * np.sqrt(variance) else 0.0


def below_pool(pool: Sequence[Candidate]) -> list[str]:
    """For each candidate, whether its importance-weighted accuracy on the source is far below the pool's.

    Candidates without features, or with too few effective examples, are passed over.
    """
    found = [_weighted(candidate) for candidate in pool]
    known = [accuracy for accuracy, _ in found if not np.isnan(accuracy)]
    if not known:
        return [""] * len(pool)
    best = float(np.quantile(known, 0.9))
    return [_far_below(accuracy, size, best) for accuracy, size in found]


def _weighted(candidate: Candidate) -> tuple[float, float]:
    """Importance-weighted accuracy on the source and the effective number of examples; NaN if unknown."""
    if candidate.source_features is None or candidate.target_features is None:
        return float("nan"), 0.0
    known = candidate.source_sample()
    try:
        weights = importance_weights(candidate)
    except BadInput:
        return float("nan"), 0.0
    return weighted_accuracy(known.probabilities.argmax(1) == known.labels, weights), effective_sample_size(weights)


def _far_below(accuracy: float, size: float, best: float) -> str:
    if np.isnan(accuracy):
        return ""
    error = np.sqrt(best * (1 - best) / size)
    if best - accuracy <= max(BELOW_POOL, CHANCE * error):
        return ""
    return f"importance-weighted accuracy on the source is {accuracy:.3f}, the best of the pool have {best:.3f}"
