"""Where the two models say different things."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.runs.outputs import ClassOutputs, Codes, NumberOutputs


class Tally(NamedTuple):
    """How often the models disagree, and who is right then (none if nobody knows)."""

    examples: int
    differ: int
    after_right: int | None = None
    before_right: int | None = None

    @property
    def neither(self) -> int:
        """Disagreements in which both are wrong."""
        return self.differ - (self.after_right or 0) - (self.before_right or 0)


def tally(before: ClassOutputs, after: ClassOutputs, truth: Codes | None) -> Tally:
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


def telling(before: ClassOutputs, after: ClassOutputs, among: Codes, most: int) -> list[int]:
    """Rows to show: both models are sure of different classes; every pair of classes once before any a second time.

    Args:
        before: The source-only model.
        after: The adapted model.
        among: Rows to choose from.
        most: How many to show at most.
    """
    differ = among[before.predicted[among] != after.predicted[among]]
    sure = np.minimum(before.probabilities[differ].max(1), after.probabilities[differ].max(1))
    turns: list[tuple[int, int]] = []
    seen: dict[tuple[int, int], int] = {}
    for row in differ[np.argsort(-sure, kind="stable")]:
        pair = (int(before.predicted[row]), int(after.predicted[row]))
        turns.append((seen.setdefault(pair, 0), int(row)))
        seen[pair] += 1
    return [row for _, row in sorted(turns, key=lambda turn: turn[0])[:most]]


class Gap(NamedTuple):
    """How far apart two models of numbers are, and how often each is the nearer one (none if nobody knows)."""

    examples: int
    mean: float
    after_nearer: int | None = None
    before_nearer: int | None = None


def gap(before: NumberOutputs, after: NumberOutputs, truth: NDArray[np.float64] | None) -> Gap:
    """The mean distance of what they predict, and whose is nearer to the truth."""
    apart = float(np.abs(before.predicted - after.predicted).mean())
    if truth is None:
        return Gap(len(before), apart)
    gain = np.abs(before.predicted - truth) - np.abs(after.predicted - truth)
    return Gap(len(before), apart, int((gain > 0).sum()), int((gain < 0).sum()))


def furthest(before: NumberOutputs, after: NumberOutputs, among: Codes, most: int) -> list[int]:
    """Rows to show: those ``among`` the given ones of which the two models say the most different numbers."""
    apart = np.abs(before.predicted[among] - after.predicted[among])
    return [int(row) for row in among[np.argsort(-apart, kind="stable")[:most]]]
