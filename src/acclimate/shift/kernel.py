"""Kernel two-sample tests: the maximum mean discrepancy, with permutations or in linear time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearson3
from scipy.stats import t as student

from acclimate.shift.two_sample import Codes, Rows, mann_whitney

MOST = 1000
"""Most examples of a domain that are all compared with one another."""
PERMUTATIONS = 999
BLOCK = 100
"""Examples of each domain in a block of the test for many examples."""
PAIRS = 500
"""Examples of each domain from whose distances the width of the kernel is taken."""


class KernelTest(NamedTuple):
    """The squared maximum mean discrepancy of two samples.

    Attributes:
        statistic: Its unbiased estimate.
        p: One-sided p-value.
        auc: How well an example's mean similarity to the others of each domain tells its own.
    """

    statistic: float
    p: float
    auc: float


def kernel_test(source: Rows, target: Rows, *, permutations: int = PERMUTATIONS, seed: int = 0) -> KernelTest:
    r"""Test whether two domains differ by the mean similarity within and between them.

    .. math::
        \frac{1}{n (n - 1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m (m - 1)} \sum_{i \ne j} k(y_i, y_j)
            - \frac{2}{n m} \sum_{i, j} k(x_i, y_j), \qquad
        k(x, y) = e^{-\lVert x - y \rVert^2 / (2 \sigma^2)}

    with the median distance as :math:`\sigma`. If a domain has up to 1 000 examples, the p-value is from permutations,
    with up to 1 000 examples of each. With more in both, it is from the mean over blocks of 100 examples each, whose
    cost is linear in the examples.

    Args:
        source: Features ``(n, d)`` on comparable scales.
        target: Features ``(m, d)``.
        permutations: Number of permutations.
        seed: Seed of the permutations and the blocks.

    Reference:
        Gretton et al., A Kernel Two-Sample Test, JMLR 2012; blocks as in Zaremba et al., B-tests: Low Variance Kernel
        Two-Sample Tests, NeurIPS 2013. arXiv:1307.1954
    """
    rng = np.random.default_rng(seed)
    source, target = source[rng.permutation(len(source))], target[rng.permutation(len(target))]
    width = median_distance(np.concatenate([source[:PAIRS], target[:PAIRS]]))
    some = np.concatenate([source[:MOST], target[:MOST]])
    n = min(len(source), MOST)
    kernel, y = gaussian(some, width), np.repeat([0, 1], [n, len(some) - n])
    if min(len(source), len(target)) > MOST:
        statistic, p = _over_blocks(source, target, width)
    else:
        statistic, p = permuted(kernel, n, permutations, rng)
    return KernelTest(statistic, p, _auc(kernel, y))


def median_distance(x: Rows) -> float:
    """Return the median distance between two rows; 1 if most are equal."""
    squared = squared_distances(x)[np.triu_indices(len(x), 1)]
    return float(np.sqrt(np.median(squared))) or 1.0


def squared_distances(x: Rows) -> NDArray[np.float64]:
    """Return the squared distances between all rows of ``x (n, d)``: ``(n, n)``."""
    x = x - x.mean(0)
    lengths = np.square(x).sum(1)
    return np.asarray((lengths[:, None] + lengths - 2 * x @ x.T).clip(0))


def gaussian(x: Rows, width: float) -> NDArray[np.float64]:
    """Return the Gaussian kernel between all rows of ``x (n, d)``, with zeros on the diagonal."""
    kernel = np.exp(-squared_distances(x) / (2 * width**2))
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)


def permuted(kernel: NDArray[np.float64], n: int, permutations: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the unbiased estimate and its p-value; beyond what permutations resolve, by a Pearson III distribution.

    Args:
        kernel: Between all examples, those of the source first ``(n + m, n + m)``, with zeros on the diagonal.
        n: The number of the source's examples.
        permutations: Number of permutations.
        rng: Draws them.
    """
    total = len(kernel)
    chosen = np.zeros((total, permutations + 1))
    chosen[:n, 0] = 1
    for column in range(1, permutations + 1):
        chosen[rng.permutation(total)[:n], column] = 1
    estimates = _estimates(kernel, chosen)
    observed, null = float(estimates[0]), estimates[1:]
    exceed = int((null >= observed - 1e-12).sum())
    p = (exceed + 1) / (permutations + 1)
    return observed, p if exceed else min(p, tail(observed, null))


def _estimates(kernel: NDArray[np.float64], chosen: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unbiased estimate for each choice of the source's examples, a column of ones and zeros."""
    n, m, rows = chosen[:, 0].sum(), (1 - chosen[:, 0]).sum(), kernel.sum(1)
    within = np.einsum("ij,ij->j", chosen, kernel @ chosen)
    between = rows @ chosen - within
    others = rows.sum() - within - 2 * between
    return np.asarray(within / (n * (n - 1)) + others / (m * (m - 1)) - 2 * between / (n * m))


def tail(observed: float, null: NDArray[np.float64]) -> float:
    """Return the p-value of an estimate under a Pearson III distribution with the moments of ``null``."""
    deviations = (null - null.mean()) / max(null.std(), 1e-300)
    skew = float(np.mean(deviations**3))
    return float(pearson3.sf((observed - null.mean()) / max(null.std(), 1e-300), skew))


def _over_blocks(source: Rows, target: Rows, width: float) -> tuple[float, float]:
    """The mean over blocks of the unbiased estimate, and its p-value by a t-test."""
    blocks = max(10, min(len(source), len(target)) // BLOCK)
    of_source, of_target = (np.array_split(x, blocks) for x in (source, target))
    estimates = [_of_block(a[:BLOCK], b[:BLOCK], width) for a, b in zip(of_source, of_target, strict=True)]
    mean, spread = float(np.mean(estimates)), float(np.std(estimates, ddof=1))
    return mean, float(student.sf(mean / max(spread / np.sqrt(blocks), 1e-300), blocks - 1))


def _of_block(source: Rows, target: Rows, width: float) -> float:
    kernel = gaussian(np.concatenate([source, target]), width)
    chosen = np.repeat([1.0, 0.0], [len(source), len(target)])[:, None]
    return float(_estimates(kernel, chosen)[0])


def _auc(kernel: NDArray[np.float64], y: Codes) -> float:
    """AUC of the difference between an example's mean similarity to the other examples of each domain."""
    own = np.stack([y == 0, y == 1], 1).astype(np.float64)
    scores = (kernel @ own / np.maximum(own.sum(0) - own, 1)) @ np.array([-1.0, 1.0])
    excess, _, pairs = mann_whitney(scores, y)
    return 0.5 + excess / pairs
