"""Deep embedded validation: importance-weighted source risk with a control variate."""

from typing import ClassVar

import numpy as np

from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate, Numbers
from acclimate.validators.density_ratio import importance_weights


def dev_risk(losses: Numbers, weights: Numbers) -> float:
    r"""The importance-weighted risk, its variance reduced by the weights as a control variate.

    .. math::
        \overline{w \ell} + \eta \, (\bar w - 1), \qquad \eta = -\frac{\mathrm{Cov}(w \ell, w)}{\mathrm{Var}(w)}

    Args:
        losses: :math:`\ell`, of each source example ``(n,)``.
        weights: :math:`w`, with an expected value of 1 ``(n,)``.
    """
    weighted, variance = weights * losses, weights.var()
    if not variance:
        return float(weighted.mean())
    eta = -np.mean((weighted - weighted.mean()) * (weights - weights.mean())) / variance
    return float(weighted.mean() + eta * (weights.mean() - 1))


def zero_one_losses(candidate: Candidate) -> Numbers:
    """1 for each source example with known features that is misclassified, else 0 ``(m_s,)``."""
    known = candidate.source_sample()
    return np.asarray(known.probabilities.argmax(1) != known.labels, dtype=np.float64)


class DEV(SingleValidator):
    r"""The negative importance-weighted error on held-out source examples, with a control variate.

    .. math:: -\left( \overline{w \ell} + \eta \, (\bar w - 1) \right)

    with the zero–one loss :math:`\ell`, `dev_risk`, and weights :math:`w` by `density_ratio.importance_weights`. A
    heavy tail of the weights makes it unreliable, and nothing bounds it.

    Shapes: source features ``(m_s, d)`` with their probabilities and labels, target features ``(m_t, d)``.

    Reference:
        You et al., Towards Accurate Model Selection in Deep Unsupervised Domain Adaptation, ICML 2019.
        arXiv:2606.04665
    """

    shares: ClassVar[frozenset[str]] = frozenset({"importance_weighting", "kernel_mean_matching"})
    needs: ClassVar[tuple[str, ...]] = ("source_features", "target_features")

    def _score(self, candidate: Candidate) -> float:
        return -dev_risk(zero_one_losses(candidate), importance_weights(candidate))
