"""Confidence optimal transport: how far the target's outputs are from the source's label shares."""

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.optimize import linprog

from acclimate.validators.estimate.inputs import Labels, Probabilities, accuracy, check, confidence, share

LARGEST = 1000
"""Rows of the transport problem: more target examples than this are sampled."""


def cot(
    source: Probabilities, labels: Labels, target: Probabilities, *, largest: int = LARGEST, seed: int = 0
) -> float:
    r"""Confidence optimal transport (COT): error is the cost of moving the target's outputs to the source's labels.

    .. math::
        \widehat{\mathrm{acc}} = 1 - \min_{\pi} \sum_{iy} \pi_{iy} \tfrac12 \lVert p(x_i) - e_y \rVert_1
            - \left( \overline{\max_c p_c}^{\,s} - \mathrm{acc}_s \right), \qquad
        \sum_y \pi_{iy} = \tfrac{1}{n_t}, \quad \sum_i \pi_{iy} = p_s(y)

    The cost of a pair is :math:`1 - p_y(x_i)`, at least one minus the confidence. So this estimate is at most that of
    `difference_of_confidences`, and below it if the predicted classes have other shares than the source's labels. It
    assumes that the shares of the classes are the same in both domains.

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        largest: Rows of the transport problem. More examples than this are sampled without replacement.
        seed: Seed of the sample.

    Raises:
        BadInput: The arrays do not fit together.

    Reference:
        Lu et al., Characterizing Out-of-Distribution Error via Optimal Transport, NeurIPS 2023. arXiv:2305.15640
    """
    check(source, labels, target)
    shares = np.bincount(labels, minlength=source.shape[1]) / len(labels)
    overconfidence = float(confidence(source).mean()) - accuracy(source, labels)
    return share(1 - transport_cost(_sampled(target, largest, seed), shares) - overconfidence)


def transport_cost(probabilities: Probabilities, shares: NDArray[np.float64]) -> float:
    r"""Least mean cost :math:`1 - p_y(x_i)` of giving the rows to classes in these shares; a row may be divided.

    Args:
        probabilities: Rows ``(n, k)``.
        shares: Share of each class ``(k,)``.
    """
    n, k = probabilities.shape
    of_rows = scipy.sparse.kron(scipy.sparse.eye(n), np.ones((1, k)))
    of_classes = scipy.sparse.kron(np.ones((1, n)), scipy.sparse.eye(k))
    sums = np.concatenate([np.full(n, 1 / n), shares])
    plan = scipy.sparse.vstack([of_rows, of_classes]).tocsr()
    return float(linprog((1 - probabilities).ravel(), A_eq=plan, b_eq=sums, method="highs").fun)


def apportioned(shares: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Whole counts ``(k,)`` that sum to ``n``, by largest remainders.

    Example:
        >>> apportioned(np.array([0.5, 0.3, 0.2]), 7).tolist()
        [4, 2, 1]
    """
    exact = shares / shares.sum() * n
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return counts


def _sampled(rows: NDArray[np.float64], largest: int, seed: int) -> NDArray[np.float64]:
    if len(rows) <= largest:
        return rows
    return np.asarray(rows[np.random.default_rng(seed).choice(len(rows), largest, replace=False)])
