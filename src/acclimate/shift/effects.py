"""Effect sizes on one scale, and the words for them; the correction of p-values for many tests.

Every effect is expressed in standard deviations: how far apart the means of two normal distributions would have to lie
to be as different. One scale makes a column, a share and a classifier comparable.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Verdict = Literal["no difference found", "different, but small", "different", "very different"]
VERDICTS: tuple[Verdict, ...] = ("no difference found", "different, but small", "different", "very different")
"""From least to most."""
ALPHA = 0.05
"""Corrected p-value below which a difference counts as found."""
SMALL, LARGE = 0.2, 0.8
"""Cohen's bounds of a small and a large effect, in standard deviations: one look at an example tells its domain 54 %
and 66 % of the time (chance is 50 %), and 92 % and 69 % of the two distributions overlap."""
LARGEST = 10.0
"""Bound on an effect, which is infinite where the domains do not overlap."""


def verdict(effect: float, p: float) -> Verdict:
    """Say how different something is: the p-value decides whether, the effect alone how much.

    Args:
        effect: In standard deviations.
        p: The corrected p-value.

    Example:
        >>> verdict(0.01, 1e-9), verdict(0.5, 1e-9), verdict(0.5, 0.3)
        ('different, but small', 'different', 'no difference found')
    """
    if p >= ALPHA:
        return "no difference found"
    if abs(effect) < SMALL:
        return "different, but small"
    return "different" if abs(effect) < LARGE else "very different"


def effect_of_auc(auc: float) -> float:
    r"""Return the effect under which the best classifier has this AUC, :math:`\sqrt 2 \, \Phi^{-1}(\text{AUC})`.

    Example:
        >>> round(effect_of_auc(0.714), 2), effect_of_auc(0.4)
        (0.8, 0.0)
    """
    return _bounded(np.sqrt(2) * norm.ppf(max(auc, 0.5)))


def effect_of_distance(distance: float) -> float:
    r"""Return the effect with this total variation or Kolmogorov–Smirnov distance, :math:`2 \Phi^{-1}((1 + D) / 2)`.

    The two distances are the same for two normal distributions of equal spread.

    Example:
        >>> round(effect_of_distance(0.0797), 2), effect_of_distance(1.0)
        (0.2, 10.0)
    """
    return _bounded(2 * norm.ppf((1 + distance) / 2))


def _bounded(effect: float) -> float:
    return float(np.clip(effect, -LARGEST, LARGEST))


def detectable(n_source: int, n_target: int) -> float:
    """Return the difference between two means, in standard deviations, that one test finds four times in five."""
    return float((norm.ppf(1 - ALPHA / 2) + norm.ppf(0.8)) * np.sqrt(1 / n_source + 1 / n_target))


def holm(p: Sequence[float], weights: Sequence[float] | None = None) -> NDArray[np.float64]:
    """Correct p-values so that the probability of any false finding among them stays below the level.

    Args:
        p: The p-values.
        weights: How much of the error probability each may use; equal by default.

    Reference:
        Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 1979; with
        weights as in Benjamini and Hochberg, Multiple Hypotheses Testing with Weights, ibid. 1997.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values, share = np.asarray(p, float), np.ones(len(p)) if weights is None else np.asarray(weights, float)
    order = np.argsort(values / share, kind="stable")
    left = np.cumsum(share[order][::-1])[::-1]
    corrected = np.empty(len(values))
    corrected[order] = np.maximum.accumulate(left * values[order] / share[order]).clip(max=1) if len(values) else 0
    return corrected
