"""Deep embedded validation with normalised weights."""

from typing import ClassVar

import numpy as np

from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate, Numbers
from acclimate.validators.density_ratio import importance_weights
from acclimate.validators.dev import dev_risk, zero_one_losses


def standardised(weights: Numbers) -> Numbers:
    """Weights ``(n,)`` shifted and scaled to mean 1 and standard deviation 1; all 1 if they are equal."""
    spread = weights.std()
    return np.asarray(1 + (weights - weights.mean()) / spread) if spread else np.ones_like(weights)


class DEVN(SingleValidator):
    r"""`dev` with weights of mean 1 and standard deviation 1.

    .. math:: -\left( \bar\ell + \frac{\mathrm{Cov}(w, \ell)}{\mathrm{sd}(w)} \right)

    That is what `dev_risk` becomes for :math:`1 + (w - \bar w) / \mathrm{sd}(w)`, one of the two normalisations in the
    authors' software. A heavy tail of the weights can no longer dominate the mean loss: with a zero–one loss the
    correction is at most 0.5 in size.

    Shapes: source features ``(m_s, d)`` with their probabilities and labels, target features ``(m_t, d)``.

    Reference:
        Musgrave et al., Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised Domain Adaptation,
        2022. arXiv:2208.07360
    """

    shares: ClassVar[frozenset[str]] = frozenset({"importance_weighting", "kernel_mean_matching"})
    needs: ClassVar[tuple[str, ...]] = ("source_features", "target_features")

    def _score(self, candidate: Candidate) -> float:
        return -dev_risk(zero_one_losses(candidate), standardised(importance_weights(candidate)))
