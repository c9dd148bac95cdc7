"""Examples worth a look: where two models differ, where one is wrong or least certain."""

from collections import Counter
from collections.abc import Hashable, Sequence
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


def select_disagreements(
    before: ClassOutputs, after: ClassOutputs, among: Codes, most: int, truth: Truth | None = None
) -> list[int]:
    """Return rows to show: the most confident disagreements, in turn of each outcome and each pair of classes.

    Args:
        before: Outputs of the source-only model.
        after: Outputs of the adapted model.
        among: Rows to choose from.
        most: The most rows to return.
        truth: True classes; with them, rows on which the adapted model is right, the source-only model is, and neither
            is take turns, so that not all are the adapted model's wins.
    """
    differ = among[before.predicted[among] != after.predicted[among]]
    confidence = np.minimum(before.probabilities[differ].max(1), after.probabilities[differ].max(1))
    ranked = [int(row) for row in differ[np.argsort(-confidence, kind="stable")]]
    pairs = [(int(before.predicted[row]), int(after.predicted[row])) for row in ranked]
    ranked = in_turn(ranked, pairs)
    return in_turn(ranked, [_outcome(before, after, truth, row) for row in ranked])[:most]


def _outcome(before: ClassOutputs, after: ClassOutputs, truth: Truth | None, row: int) -> tuple[bool, bool]:
    if truth is None:
        return False, False
    return bool(after.predicted[row] == truth[row]), bool(before.predicted[row] == truth[row])


def in_turn(rows: Sequence[int], groups: Sequence[Hashable]) -> list[int]:
    """Return rows in an order in which each group has its first before any has its second, else as they are.

    Example:
        >>> in_turn([5, 6, 7, 8], ["a", "a", "b", "b"])
        [5, 7, 6, 8]
    """
    seen: Counter[Hashable] = Counter()
    ranks = []
    for group in groups:
        ranks.append(seen[group])
        seen[group] += 1
    return [row for _, row in sorted(zip(ranks, rows, strict=True), key=lambda pair: pair[0])]


def select_uncertain(outputs: ClassOutputs, among: Codes, most: int) -> list[int]:
    """Return the rows ``among`` the given ones with the smallest lead of the likeliest class over the second."""
    best = np.sort(outputs.probabilities[among], axis=1)
    return [int(row) for row in among[np.argsort(best[:, -1] - best[:, -2], kind="stable")[:most]]]


def select_wrong(outputs: ClassOutputs, among: Codes, truth: Truth, most: int) -> list[int]:
    """Return the most confident mistakes ``among`` the given rows, in turn of each pair of true and predicted class."""
    wrong = among[outputs.predicted[among] != truth[among]]
    ranked = [int(row) for row in wrong[np.argsort(-outputs.probabilities[wrong].max(1), kind="stable")]]
    return in_turn(ranked, [(int(truth[row]), int(outputs.predicted[row])) for row in ranked])[:most]


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
