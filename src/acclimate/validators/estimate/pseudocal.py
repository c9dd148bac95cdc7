"""Pseudo-calibration: a temperature for the target from mixtures of its examples."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.validators.estimate.inputs import Labels, Probabilities, check_outputs
from acclimate.validators.estimate.temperature import temperature

DOMINANT = 0.65
"""Weight of the first example of a mixture."""


class Pairs(NamedTuple):
    """Target examples to mix as ``DOMINANT * x[first] + (1 - DOMINANT) * x[second]``.

    Attributes:
        first: Rows of the dominant examples ``(m,)``.
        second: Rows of the others, which are predicted as another class ``(m,)``.
        labels: Predicted class of the dominant example, the mixture's label ``(m,)``.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    labels: Labels


def draw_pairs(target: Probabilities, *, most: int = 5000, seed: int = 0) -> Pairs:
    """Pair each target example with a random one, and keep the pairs that are predicted as different classes.

    Args:
        target: Probabilities on the target ``(n, k)``.
        most: Most pairs to return.
        seed: Seed of the permutation.

    Raises:
        BadInput: All examples are predicted as one class, so no pair differs.
    """
    check_outputs(target, "target")
    predicted, rng = target.argmax(1), np.random.default_rng(seed)
    if (predicted == predicted[0]).all():
        raise BadInput("estimate: all target examples are predicted as one class, so there are no pairs to mix")
    first = second = np.empty(0, np.int64)
    while not len(first):  # a permutation of a few examples may pair equal classes only
        second = rng.permutation(len(target))
        first = np.flatnonzero(predicted != predicted[second])
    first = first[:most]
    return Pairs(first, second[first], predicted[first])


def pseudo_temperature(mixtures: Probabilities, labels: Labels) -> float:
    r"""The temperature that calibrates the model on mixtures, whose labels are the dominant predictions.

    .. math::
        \min_T \; -\frac1m \sum_{(i, j)} \log \mathrm{softmax}\big( \log p(.65 x_i + .35 x_j) / T \big)_{\hat y(x_i)},
        \qquad \hat y(x_i) \ne \hat y(x_j)

    An example near its class keeps its prediction in the mixture, one near a boundary loses it, in about the same
    proportion as target examples are right and wrong.

    Args:
        mixtures: The model's probabilities on the mixtures of `draw_pairs` ``(m, k)``.
        labels: The labels of these pairs ``(m,)``.

    Raises:
        BadInput: The arrays do not fit together.

    Reference:
        Hu et al., Pseudo-Calibration: Improving Predictive Uncertainty Estimation in Unsupervised Domain Adaptation,
        ICML 2024. arXiv:2307.07489
    """
    return temperature(mixtures, labels)
