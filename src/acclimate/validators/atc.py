"""An estimate of the accuracy on the target without its labels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


class Estimate(NamedTuple):
    """An accuracy with bounds of its sampling error; they do not cover a violated assumption."""

    accuracy: float
    low: float
    high: float


def threshold(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the confidence below which as many source examples lie as are wrong."""
    n_wrong = int((~right).sum())
    return float(np.sort(confidence)[n_wrong]) if n_wrong < len(confidence) else np.inf


def atc(
    source: Probabilities,
    labels: NDArray[np.int64],
    target: Probabilities,
    *,
    draws: int = 200,
    seed: int = 0,
) -> Estimate:
    r"""Average thresholded confidence: the fraction of the target on which the model is confident enough.

    .. math::
        \widehat{\mathrm{acc}} = \frac{1}{n_t} \sum_i [\, s(x_i) \ge \tau \,], \qquad
        \frac{1}{n_s} \sum_j [\, s(x_j) < \tau \,] = \mathrm{err}_{s}, \qquad
        s(x) = \sum_c p_c \log p_c

    It assumes that confidence has the same meaning on the target as on the source. Training that makes a model
    confident on the target (MCC, entropy terms) violates this, and the estimate is then too high.

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        draws: Number of bootstrap draws of both samples, for the 95 % bounds.
        seed: Seed of the draws.

    Reference:
        Garg et al., Leveraging Unlabeled Data to Predict Out-of-Distribution Performance, ICLR 2022.
        arXiv:2201.04234
    """
    s, t, right = _negative_entropy(source), _negative_entropy(target), source.argmax(1) == labels
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        i, j = rng.integers(len(s), size=len(s)), rng.integers(len(t), size=len(t))
        drawn.append(float((t[j] >= threshold(s[i], right[i])).mean()))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float((t >= threshold(s, right)).mean()), float(low), float(high))


def _negative_entropy(p: Probabilities) -> NDArray[np.float64]:
    return np.asarray((p * np.log(p.clip(1e-300))).sum(1))
