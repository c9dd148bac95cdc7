"""Negative entropy of the predictions on the target."""

from typing import ClassVar

import numpy as np
from scipy.special import entr

from acclimate.validators.base import CONFIDENT, SingleValidator
from acclimate.validators.candidate import Candidate, Numbers, Probabilities


def entropies(p: Probabilities) -> Numbers:
    """Entropy of each row of ``p (n, k)``, in nats ``(n,)``."""
    return np.asarray(entr(p.clip(0)).sum(1))


class Entropy(SingleValidator):
    r"""How confident the model is on the target.

    .. math:: \frac{1}{n_t} \sum_i \sum_c p_c(x_i) \log p_c(x_i)

    It is the largest for a model that predicts one class for everything with certainty.

    Shapes: target probabilities ``(n_t, k)``. From :math:`-\log k` to 0.

    Reference:
        Morerio et al., Minimal-Entropy Correlation Alignment for Unsupervised Deep Domain Adaptation, ICLR 2018.
        arXiv:1711.10288
    """

    shares: ClassVar[frozenset[str]] = CONFIDENT

    def _score(self, candidate: Candidate) -> float:
        return -float(entropies(candidate.target).mean())
