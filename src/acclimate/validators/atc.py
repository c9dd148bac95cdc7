"""An estimate of the target's accuracy without its labels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


class Estimate(NamedTuple):
    """An accuracy with the bounds of its sampling error, not of what its assumption may be wrong by."""

    accuracy: float
    low: float
    high: float


def threshold(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The confidence that as many source examples stay below as are wrong."""
    wrong = int((~right).sum())
    return float(np.sort(confidence)[wrong]) if wrong < len(confidence) else np.inf


def atc(
    source: Probabilities,
    labels: NDArray[np.int64],
    target: Probabilities,
    *,
    draws: int = 200,
    seed: int = 0,
) -> Estimate:
    r"""Average thresholded confidence: the share of the target that the model is sure enough of.

    .. math::
        \widehat{\mathrm{acc}} = \frac{1}{n_t} \sum_i [\, s(x_i) \ge \tau \,], \qquad
        \frac{1}{n_s} \sum_j [\, s(x_j) < \tau \,] = \mathrm{err}_{s}, \qquad
        s(x) = \sum_c p_c \log p_c

    It assumes that confidence means on the target what it means on the source; a model made confident on the
    target by its own training (MCC, entropy terms) breaks that, and the estimate is then too high.

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        draws: Bootstrap draws of both samples, for the 95 % bounds.
        seed: Of the draws.

    Reference:
        Garg et al., Leveraging Unlabeled Data to Predict Out-of-Distribution Performance, ICLR 2022.
        arXiv:2201.04234
    """
    here, there, right = _negative_entropy(source), _negative_entropy(target), source.argmax(1) == labels
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        i, j = rng.integers(len(here), size=len(here)), rng.integers(len(there), size=len(there))
        drawn.append(float((there[j] >= threshold(here[i], right[i])).mean()))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float((there >= threshold(here, right)).mean()), float(low), float(high))


def _negative_entropy(p: Probabilities) -> NDArray[np.float64]:
    return np.asarray((p * np.log(p.clip(1e-300))).sum(1))
