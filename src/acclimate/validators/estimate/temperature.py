"""Temperature scaling: one number that makes probabilities as confident as they are right."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from acclimate.errors import BadInput
from acclimate.validators.estimate.inputs import Labels, Probabilities, check

COLDEST, HOTTEST = 0.02, 50.0
"""Temperatures between which it is searched: without errors the best is 0, with random labels infinity."""


def temperature(probabilities: Probabilities, labels: Labels) -> float:
    r"""The temperature of maximum likelihood on labelled examples.

    .. math:: \min_T \; -\frac1n \sum_i \log \mathrm{softmax}(\log p_i / T)_{y_i}

    The likelihood is concave in :math:`1 / T`, so there is one optimum.

    Args:
        probabilities: Probabilities on examples that were not trained on ``(n, k)``.
        labels: Their classes ``(n,)``.

    Returns:
        A number between `COLDEST` and `HOTTEST`; above 1 if the model is too confident.

    Raises:
        BadInput: The arrays do not fit together.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017. arXiv:1706.04599
    """
    check(probabilities, labels, probabilities)
    logits = _log(probabilities)

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(log_p[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def scaled(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return ``softmax(log p / temperature)``, whose predicted classes are the same.

    Raises:
        BadInput: The temperature is not a positive number.
    """
    if not 0 < temperature < np.inf:
        raise BadInput(f"estimate: the temperature must be a positive number, not {temperature}")
    return np.asarray(softmax(_log(probabilities) / temperature, axis=1))


def _log(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(p.clip(1e-30)))
