"""Mutual information between target examples and predicted classes."""

from typing import ClassVar

from acclimate.validators.base import CONFIDENT, SingleValidator
from acclimate.validators.candidate import Candidate, Probabilities
from acclimate.validators.entropy import entropies


def mutual_information(p: Probabilities) -> float:
    """Entropy of the mean of ``p (n, k)`` minus the mean of the entropies, in nats."""
    return float(entropies(p.mean(0, keepdims=True))[0] - entropies(p).mean())


class InformationMaximisation(SingleValidator):
    r"""How confident and how diverse the predictions on the target are.

    .. math:: H(\bar p) - \frac{1}{n_t} \sum_i H(p(x_i)), \qquad \bar p = \frac{1}{n_t} \sum_i p(x_i)

    One class for everything scores 0. It favours equal class shares, so a model that follows a label shift scores
    less than one that ignores it; and confident noise scores the maximum.

    Shapes: target probabilities ``(n_t, k)``. From 0 to :math:`\log k`.

    Reference:
        Shi & Sha, Information-Theoretical Learning of Discriminative Clusters for Unsupervised Domain Adaptation,
        ICML 2012. arXiv:1206.6438
    """

    shares: ClassVar[frozenset[str]] = CONFIDENT

    def _score(self, candidate: Candidate) -> float:
        return mutual_information(candidate.target)
