"""Budgets of labels: so many of each class, or a share of all, drawn at random and nested."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.data.inputs import Index
from acclimate.errors import BadInput

FRACTIONS = (0.01, 0.05, 0.1, 1.0)
"""Shares of the labels that are tried where nothing else is asked for."""
STREAM = 11
"""Of random numbers, for the draws."""


class Budget(NamedTuple):
    """So many labels of each class, or such a share of them."""

    name: str
    share: float = 0.0
    each: int = 0

    def counts(self, available: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of each class, of those ``available (k,)``; of a share one at least."""
        if self.share:
            return np.maximum(np.round(self.share * available).astype(np.int64), np.minimum(available, 1))
        return np.where(available > 0, self.each, 0)


def budgets(fractions: Sequence[float], per_class: Sequence[int]) -> list[Budget]:
    """Those that are asked for, or `FRACTIONS`.

    Args:
        fractions: Shares of the labels, in (0, 1].
        per_class: Labels of each class.

    Raises:
        BadInput: A number that cannot be.
    """
    for share in fractions:
        if not 0 < share <= 1:
            raise BadInput(f"--fractions: {share:g} is no share of the labels; give numbers above 0 and up to 1")
    for each in per_class:
        if each < 0:
            raise BadInput(f"--per-class: {each} labels cannot be had; give whole numbers from 0 on")
    shares = fractions or (() if per_class else FRACTIONS)
    return [*(Budget(f"{share}", share=share) for share in shares),
            *(Budget(f"{each} per class", each=each) for each in per_class if each)]  # fmt: skip


def with_none(asked: Sequence[Budget], codes: NDArray[np.int64], classes: Sequence[str]) -> list[Budget]:
    """No label at all, then those ``asked`` for, the smallest first; of several that are the same draw, one.

    Args:
        asked: In any order.
        codes: Class of each row there is to draw ``(n,)``.
        classes: Their names.

    Raises:
        BadInput: More labels of a class than there are.
    """
    available = np.bincount(codes)
    by_counts: dict[tuple[int, ...], Budget] = {(0,) * len(available): Budget("0 per class")}
    for budget in asked:
        if len(short := np.flatnonzero(budget.counts(available) > available)):
            raise BadInput(
                f"--per-class {budget.each}: class {classes[short[0]]!r} has {available[short[0]]} labelled examples "
                "to draw from, besides those that are scored on; ask for fewer"
            )
        by_counts.setdefault(tuple(budget.counts(available).tolist()), budget)
    return [by_counts[counts] for counts in sorted(by_counts, key=lambda counts: (sum(counts), counts))]


def draw(codes: NDArray[np.int64], budget: Budget, seed: int) -> Index:
    """The rows whose labels are bought: of each class the first of an order that is the seed's alone.

    Args:
        codes: Class of each row ``(n,)``.
        budget: How many of each.
        seed: Decides which.
    """
    wanted = budget.counts(np.bincount(codes))
    found = [
        np.random.default_rng([seed, STREAM, c]).permutation(np.flatnonzero(codes == c))[:n]
        for c, n in enumerate(wanted)
    ]
    return np.sort(np.concatenate(found)).astype(np.int64)
