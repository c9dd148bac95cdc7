"""Average thresholded confidence: the share of the target on which the model is confident enough."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.validators.estimate.inputs import Labels, Probabilities, Scores, check, confidence, negative_entropy


class Estimate(NamedTuple):
    """An accuracy with bounds of its sampling error; they do not cover a violated assumption."""

    accuracy: float
    low: float
    high: float


def threshold(scores: Scores, right: NDArray[np.bool_]) -> float:
    """Return the score below which as many source examples lie as are wrong."""
    n_wrong = int((~right).sum())
    return float(np.sort(scores)[n_wrong]) if n_wrong < len(scores) else np.inf


def thresholded(
    source: Probabilities,
    labels: Labels,
    target: Probabilities,
    *,
    score: Callable[[Probabilities], Scores] = negative_entropy,
) -> float:
    r"""Share of the target whose score is above the threshold that explains the errors on the source.

    .. math::
        \widehat{\mathrm{acc}} = \frac{1}{n_t} \sum_i [\, s(x_i) \ge \tau \,], \qquad
        \frac{1}{n_s} \sum_j [\, s(x_j) < \tau \,] = \mathrm{err}_{s}

    ATC takes :math:`s(x) = \max_c p_c` and ATC-NE the negative entropy :math:`s(x) = \sum_c p_c \log p_c`. Both assume
    that confidence has the same meaning on the target as on the source. Training that makes a model confident on the
    target (MCC, entropy terms) violates this, and the estimate is then too high.

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        score: `negative_entropy` for ATC-NE, `confidence` for ATC.

    Raises:
        BadInput: The arrays do not fit together.

    Reference:
        Garg et al., Leveraging Unlabeled Data to Predict Out-of-Distribution Performance, ICLR 2022.
        arXiv:2201.04234
    """
    check(source, labels, target)
    return float((score(target) >= threshold(score(source), source.argmax(1) == labels)).mean())


def atc_confidence(source: Probabilities, labels: Labels, target: Probabilities) -> float:
    """ATC: `thresholded` with the probability of the predicted class as score."""
    return thresholded(source, labels, target, score=confidence)


def atc_negative_entropy(source: Probabilities, labels: Labels, target: Probabilities) -> float:
    """ATC-NE: `thresholded` with the negative entropy as score."""
    return thresholded(source, labels, target, score=negative_entropy)


def atc(
    source: Probabilities,
    labels: Labels,
    target: Probabilities,
    *,
    draws: int = 200,
    seed: int = 0,
) -> Estimate:
    """ATC-NE with the bounds of a bootstrap of both samples.

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        draws: Number of bootstrap draws of both samples, for the 95 % bounds.
        seed: Seed of the draws.

    Raises:
        BadInput: The arrays do not fit together.

    Reference:
        Garg et al., Leveraging Unlabeled Data to Predict Out-of-Distribution Performance, ICLR 2022.
        arXiv:2201.04234
    """
    point = atc_negative_entropy(source, labels, target)
    s, t, right = negative_entropy(source), negative_entropy(target), source.argmax(1) == labels
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        i, j = rng.integers(len(s), size=len(s)), rng.integers(len(t), size=len(t))
        drawn.append(float((t[j] >= threshold(s[i], right[i])).mean()))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(point, float(low), float(high))
