"""Accuracy on mixtures of two target examples, taking the prediction for the dominant one as the truth."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from acclimate.errors import BadInput
from acclimate.validators.base import Score, Validator
from acclimate.validators.candidate import Candidate, Codes
from acclimate.validators.ranks import ranks

RATIO = 0.55
"""Weight of the dominant example in a mixture, as in the paper."""


class MixedAccuracy(NamedTuple):
    """Accuracy on mixtures of examples of different (``inter``) and of the same (``intra``) predicted class."""

    inter: float
    intra: float


def draw_pairs(predicted: Codes, *, seed: int = 0) -> Codes:
    """Draw for each example one partner of the same and one of another predicted class, where there is one.

    A mixture is ``RATIO · x[first] + (1 − RATIO) · x[second]``. All candidates should be given the same pairs, drawn
    by source-only's predictions, so that their scores differ by the models alone; `mixed_accuracy` then tells same from
    different by each model's own predictions.

    Args:
        predicted: A class for each target example ``(n,)``.
        seed: Seed of the draws.

    Returns:
        Rows of the dominant and of the other example ``(m, 2)``, with ``m`` at most ``2 n``.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(predicted))
    pairs = []
    for c in np.unique(predicted):
        inside, outside = rows[predicted == c], rows[predicted != c]
        if len(inside) > 1:  # a shift by less than their number never pairs an example with itself
            shuffled = rng.permutation(inside)
            pairs.append(np.stack([shuffled, np.roll(shuffled, 1)], 1))
        if len(outside):
            pairs.append(np.stack([inside, rng.choice(outside, len(inside))], 1))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), dtype=np.int64)


def mixed_accuracy(candidate: Candidate) -> MixedAccuracy:
    """How often a mixture is predicted as its dominant example is.

    Raises:
        BadInput: The model predicts one class for all examples, or no pair has two examples of one class.
    """
    pairs, mixed = candidate.mixtures()
    first, second = candidate.predicted[pairs].T
    kept, same = mixed.argmax(1) == first, first == second
    if same.all() or not same.any():
        which = "different classes" if same.all() else "one class"
        raise BadInput(f"candidate {candidate.method}: no mixture has two examples predicted as {which}")
    return MixedAccuracy(float(kept[~same].mean()), float(kept[same].mean()))


class MixVal(Validator):
    r"""The mean rank of inter-class and of intra-class accuracy on mixtures of target examples.

    .. math::
        \frac{1}{|M|} \sum_{(i, j) \in M} [\, \arg\max_c p_c(\lambda x_i + (1 - \lambda) x_j) = \hat y_i \,],
        \qquad \lambda = 0.55

    over pairs with :math:`\hat y_i \ne \hat y_j` (inter: is there a margin between the classes?) and with
    :math:`\hat y_i = \hat y_j` (intra: is a class one region?). A rank is the share of the pool that a candidate beats,
    a tie counting half. It needs inputs that can be mixed: images, numbers or features.

    Shapes: probabilities on mixtures ``(m, k)`` and rows of the examples ``(m, 2)``. From 0 to 1.

    Reference:
        Hu et al., Mixed Samples as Probes for Unsupervised Model Selection in Domain Adaptation, NeurIPS 2023,
        https://openreview.net/forum?id=ackajXqei2
    """

    needs: ClassVar[tuple[str, ...]] = ("mixed",)

    def scores(self, pool: Sequence[Candidate]) -> list[Score]:
        """The mean of both ranks, among the candidates that have mixtures."""
        found = [self._accuracy_or_reason(candidate) for candidate in pool]
        known = [accuracy for accuracy in found if isinstance(accuracy, MixedAccuracy)]
        means = iter(np.mean([ranks(values) for values in np.reshape(known, (-1, 2)).T], axis=0))
        return [Score(float("nan"), one) if isinstance(one, str) else Score(float(next(means))) for one in found]

    def _accuracy_or_reason(self, candidate: Candidate) -> MixedAccuracy | str:
        try:
            self.check(candidate)
            return mixed_accuracy(candidate)
        except BadInput as refusal:
            return refusal.message
