"""What the agreement of models says about their accuracy."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.validators.estimate.inputs import share


class Bounds(NamedTuple):
    """An accuracy's lowest and highest possible value."""

    low: float
    high: float


def gde(predicted: NDArray[np.int64]) -> float:
    r"""Generalisation disagreement: the error of a model is the disagreement of two seeds of it.

    .. math::
        \widehat{\mathrm{acc}} = \frac{2}{S (S - 1)} \sum_{a < b} \frac1n \sum_i [\, \hat y_a(x_i) = \hat y_b(x_i) \,]

    It holds if the ensemble of all seeds is calibrated on the target. Errors that all seeds share are invisible to it,
    so it is too high for a systematic error.

    Args:
        predicted: Predicted classes of each seed ``(S, n)``, ``S ≥ 2``.

    Raises:
        BadInput: There are fewer than two seeds, or no examples.

    Reference:
        Jiang et al., Assessing Generalization of SGD via Disagreement, ICLR 2022. arXiv:2106.13799
    """
    if predicted.ndim != 2 or len(predicted) < 2 or not predicted.shape[1]:
        raise BadInput(f"estimate: agreement needs predictions of two or more seeds (S, n), not {predicted.shape}")
    return float(np.mean([(a == b).mean() for a, b in combinations(predicted, 2)]))


def disagreement(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Share of the examples on which two models predict different classes.

    Raises:
        BadInput: The predictions are of different examples, or of none.
    """
    if a.shape != b.shape or not a.size:
        raise BadInput(f"estimate: predictions of the same examples needed, not {a.shape} and {b.shape}")
    return float((a != b).mean())


def bounds(peer: Bounds, disagreement: float) -> Bounds:
    r"""Bounds of a model's accuracy, from a peer's accuracy and how often the two disagree.

    .. math::
        \mathrm{acc}_b - d \;\le\; \mathrm{acc}_a \;\le\; \min(\mathrm{acc}_b + d, \; 2 - d - \mathrm{acc}_b)

    At most one of two models is right where they disagree. With three classes or more both bounds can be reached, so
    nothing tighter follows from these two numbers.

    Args:
        peer: Bounds of the peer's accuracy.
        disagreement: Share of the examples on which the two disagree.

    Example:
        >>> bounds(Bounds(0.75, 0.75), 0.5)
        Bounds(low=0.25, high=0.75)
    """
    reachable = min(max(peer.low, 1 - disagreement), peer.high)  # of all the peer's accuracies, it allows the most
    return Bounds(share(peer.low - disagreement), share(min(reachable + disagreement, 2 - disagreement - reachable)))


def intersection(all_bounds: Sequence[Bounds]) -> Bounds | None:
    """The accuracies that lie within all bounds; None if there are none, so that one of the bounds must be wrong."""
    low, high = max(b.low for b in all_bounds), min(b.high for b in all_bounds)
    return Bounds(low, high) if low <= high else None
