"""Several models as one: the mean of their probabilities, or a mean weighted by importance on the source."""

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.validators.candidate import Codes, Numbers, Probabilities

CUT = 0.01
"""Singular values of the Gram matrix below this part of the largest count as zero, as in the authors' code."""
Stack = NDArray[np.float64]
"""Probabilities of ``m`` models ``(m, n, k)``."""


def coefficients(source: Stack, labels: Codes, weights: Numbers, target: Stack, *, cut: float = CUT) -> Numbers:
    r"""Coefficients of the linear combination of models that is nearest to the labels on the target.

    .. math::
        \tilde c = \tilde G^{+} \tilde F, \qquad
        \tilde G_{pq} = \frac1{n_t} \sum_{x \in T} \langle f_p(x), f_q(x) \rangle, \qquad
        \tilde F_p = \frac1{n_s} \sum_{(x, y) \in S} \beta(x) \, \langle f_p(x), y \rangle

    :math:`\beta`, the density ratio, makes the source's labels speak for the target; :math:`y` is one-hot.

    Args:
        source: Probabilities of each model on held-out source examples ``(m, n_s, k)``.
        labels: Their classes ``(n_s,)``.
        weights: :math:`\beta` ``(n_s,)``.
        target: Probabilities of each model on the target ``(m, n_t, k)``.
        cut: Smaller singular values of :math:`\tilde G`, relative to the largest, are dropped.

    Returns:
        One for each model ``(m,)``; they may be negative and need not sum to 1.

    Raises:
        BadInput: The arrays are not of the same models or examples.

    Reference:
        Dinu et al., Addressing Parameter Choice Issues in Unsupervised Domain Adaptation by Aggregation, ICLR 2023.
        arXiv:2305.01281
    """
    m, n, k = source.shape
    if labels.shape != (n,) or weights.shape != (n,) or target.shape[::2] != (m, k):
        raise BadInput("aggregation: outputs, labels and weights must be of the same models and examples")
    gram = np.einsum("pnk,qnk->pq", target, target) / target.shape[1]
    right = source[:, np.arange(n), labels]
    return np.asarray(np.linalg.pinv(gram, rcond=cut, hermitian=True) @ (right @ weights) / n)


def aggregate(stack: Stack, weights: Numbers | None = None) -> Probabilities:
    """The mean of the models' probabilities ``(n, k)``, or their linear combination.

    A combination may leave the simplex: negative values become 0 and rows are scaled to sum to 1. A row without a
    positive value gets the plain mean.

    Args:
        stack: ``(m, n, k)``.
        weights: Coefficients of the combination ``(m,)``.
    """
    mean = stack.mean(0)
    if weights is None:
        return np.asarray(mean)
    combined = np.einsum("p,pnk->nk", weights, stack).clip(0)
    total = combined.sum(1, keepdims=True)
    return np.asarray(np.where(total > 0, combined / np.where(total > 0, total, 1), mean))
