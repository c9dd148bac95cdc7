"""Label budgets: a number per class, or a fraction of all labels, drawn at random so that budgets are nested."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.data.inputs import Index
from acclimate.errors import BadInput

FRACTIONS = (0.01, 0.05, 0.1, 1.0)
"""Fractions of the labels that are tried by default."""
STREAM = 11
"""The stream of random numbers for the draws."""


class Budget(NamedTuple):
    """A number of labels of each class, or a fraction of them."""

    name: str
    share: float = 0.0
    each: int = 0

    def counts(self, available: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many of each class to draw from the ``available (k,)``; at least one for a fraction."""
        if self.share:
            return np.maximum(np.round(self.share * available).astype(np.int64), np.minimum(available, 1))
        return np.where(available > 0, self.each, 0)


def budgets(fractions: Sequence[float], per_class: Sequence[int]) -> list[Budget]:
    """Return the requested budgets, or `FRACTIONS`.

    Args:
        fractions: Fractions of the labels, in (0, 1].
        per_class: Numbers of labels of each class.

    Raises:
        BadInput: A fraction or number is out of range.
    """
    for share in fractions:
        if not 0 < share <= 1:
            raise BadInput(f"--fractions: {share:g} is out of range; give numbers above 0, up to 1")
    for each in per_class:
        if each < 0:
            raise BadInput(f"--per-class: {each} is negative; give whole numbers from 0 up")
    shares = fractions or (() if per_class else FRACTIONS)
    return [*(Budget(f"{share}", share=share) for share in shares),
            *(Budget(f"{each} per class", each=each) for each in per_class if each)]  # fmt: skip


def with_none(requested: Sequence[Budget], codes: NDArray[np.int64], classes: Sequence[str]) -> list[Budget]:
    """Return the budget of no labels, then the requested ones from smallest to largest, each draw once.

    Args:
        requested: Budgets, in any order.
        codes: The class of each row to draw from ``(n,)``.
        classes: The names of the classes.

    Raises:
        BadInput: A budget has more labels of a class than there are.
    """
    available = np.bincount(codes)
    by_counts: dict[tuple[int, ...], Budget] = {(0,) * len(available): Budget("0 per class")}
    for budget in requested:
        if len(short := np.flatnonzero(budget.counts(available) > available)):
            raise BadInput(
                f"--per-class {budget.each}: class {classes[short[0]]!r} has only {available[short[0]]} labelled "
                "examples to draw from, besides those for scoring; give a smaller number"
            )
        by_counts.setdefault(tuple(budget.counts(available).tolist()), budget)
    return [by_counts[counts] for counts in sorted(by_counts, key=lambda counts: (sum(counts), counts))]


def draw(codes: NDArray[np.int64], budget: Budget, seed: int) -> Index:
    """Draw the rows whose labels are used: the first of each class, in an order that depends on the seed alone.

    Args:
        codes: The class of each row ``(n,)``.
        budget: How many of each class to draw.
        seed: The seed.
    """
    counts = budget.counts(np.bincount(codes))
    drawn = [
        np.random.default_rng([seed, STREAM, c]).permutation(np.flatnonzero(codes == c))[:n]
        for c, n in enumerate(counts)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)
