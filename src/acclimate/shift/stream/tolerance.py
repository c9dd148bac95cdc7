"""A test of whether a share rose by more than a tolerance."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, xlogy

Numbers = NDArray[np.float64]

HALVINGS = 40
"""Steps of the bisection, which leave the share uncertain by 1e-12."""


def p_of_rise(x: Numbers, n: Numbers, y: Numbers, m: Numbers, tolerance: float) -> Numbers:
    r"""Return the p-value of :math:`p \le q + \delta`, by the signed root of the likelihood ratio.

    .. math::
        \Phi\Big(-\sqrt{2 \min_q \, n \, \mathrm{KL}(\hat p, q + \delta) + m \, \mathrm{KL}(\hat q, q)}\Big)

    Both samples are finite, and both count: however long a stream is compared with it, a small reference does not turn
    its own sampling error into an alarm.

    Args:
        x: Examples of the stream in a set, of ``n``.
        n: Examples of the stream.
        y: Examples of the reference in that set, of ``m``.
        m: Examples of the reference.
        tolerance: The rise :math:`\delta` that is no alarm.

    Example:
        >>> p_of_rise(np.array([320.0, 500.0]), np.array([1000.0]), np.array([200.0]), np.array([1000.0]), 0.1).round(3)
        array([0.152, 0.   ])
    """
    p, q = x / n, y / m
    low, high = np.zeros(p.shape), np.full(p.shape, 1.0 - tolerance)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        falls = _slope(middle, p, n, q, m, tolerance) < 0
        low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    ratio = n * _divergence(p, middle + tolerance) + m * _divergence(q, middle)
    return np.where(p - q <= tolerance, 1.0, ndtr(-np.sqrt(2 * ratio.clip(0))))


def _slope(at: Numbers, p: Numbers, n: Numbers, q: Numbers, m: Numbers, tolerance: float) -> Numbers:
    up = at + tolerance
    return np.asarray(n * ((1 - p) / (1 - up) - p / up) + m * ((1 - q) / (1 - at) - q / at))


def _divergence(p: Numbers, q: Numbers) -> Numbers:
    """Kullback–Leibler divergence between coins."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(xlogy(p, p / q) + xlogy(1 - p, (1 - p) / (1 - q)))
