"""Where the predictions of two models differ."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from acclimate.runs.outputs import ClassOutputs, Codes, NumberOutputs

Truth: TypeAlias = Codes | NDArray[np.float64]
"""True classes or numbers ``(n,)``."""


class Tally(NamedTuple):
    """How often the models disagree, and which one is right then (None without true labels)."""

    examples: int
    differ: int
    after_right: int | None = None
    before_right: int | None = None

    @property
    def neither(self) -> int:
        """The number of disagreements in which both are wrong."""
        return self.differ - (self.after_right or 0) - (self.before_right or 0)


def tally(before: ClassOutputs, after: ClassOutputs, truth: Truth | None) -> Tally:
    """Count the disagreements."""
    differ = before.predicted != after.predicted
    if truth is None:
        return Tally(len(before), int(differ.sum()))
    return Tally(
        len(before),
        int(differ.sum()),
        int((differ & (after.predicted == truth)).sum()),
        int((differ & (before.predicted == truth)).sum()),
    )


def select_disagreements(before: ClassOutputs, after: ClassOutputs, among: Codes, most: int) -> list[int]:
    """Return rows to show: the most confident disagreements, with each pair of classes once before any repeats.

    Args:
        before: Outputs of the source-only model.
        after: Outputs of the adapted model.
        among: Rows to choose from.
        most: The most rows to return.
    """
    differ = among[before.predicted[among] != after.predicted[among]]
    confidence = np.minimum(before.probabilities[differ].max(1), after.probabilities[differ].max(1))
    ranked: list[tuple[int, int]] = []
    repeats: dict[tuple[int, int], int] = {}
    for row in differ[np.argsort(-confidence, kind="stable")]:
        pair = (int(before.predicted[row]), int(after.predicted[row]))
        ranked.append((repeats.setdefault(pair, 0), int(row)))
        repeats[pair] += 1
    return [row for _, row in sorted(ranked, key=lambda rank: rank[0])[:most]]


class Gap(NamedTuple):
    """How far apart the predictions are, and how often each model is closer to the truth (None without labels)."""

    examples: int
    mean: float
    after_closer: int | None = None
    before_closer: int | None = None


def gap(before: NumberOutputs, after: NumberOutputs, truth: Truth | None) -> Gap:
    """Return the mean distance between the predictions, and how often each is closer to the truth."""
    apart = float(np.abs(before.predicted - after.predicted).mean())
    if truth is None:
        return Gap(len(before), apart)
    gain = np.abs(before.predicted - truth) - np.abs(after.predicted - truth)
    return Gap(len(before), apart, int((gain > 0).sum()), int((gain < 0).sum()))


def select_gaps(before: NumberOutputs, after: NumberOutputs, among: Codes, most: int) -> list[int]:
    """Return the rows ``among`` the given ones where the two predictions differ most, at most ``most`` of them."""
    apart = np.abs(before.predicted[among] - after.predicted[among])
    return [int(row) for row in among[np.argsort(-apart, kind="stable")[:most]]]
