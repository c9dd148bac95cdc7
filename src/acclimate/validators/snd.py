"""Soft neighbourhood density: how many target examples lie close to one another."""

from typing import ClassVar

import numpy as np
from scipy.special import softmax

from acclimate.errors import BadInput
from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate, Probabilities
from acclimate.validators.entropy import entropies
from acclimate.validators.feature_space import some_rows, unit_rows

TEMPERATURE = 0.05


def soft_neighbourhood_density(p: Probabilities, *, temperature: float = TEMPERATURE) -> float:
    """Mean entropy of the softmax over each row's cosine similarities to the other rows of ``p (n, k)``, in nats."""
    directions = unit_rows(p)
    similar = directions @ directions.T / temperature
    np.fill_diagonal(similar, -np.inf)
    return float(entropies(softmax(similar, axis=1)).mean())


class SND(SingleValidator):
    r"""How densely target examples lie among others that have the same prediction.

    .. math::
        \frac{1}{n_t} \sum_i H(P_i), \qquad
        P_{ij} = \frac{\exp(\cos(p_i, p_j) / \tau)}{\sum_{j' \ne i} \exp(\cos(p_i, p_{j'}) / \tau)}, \quad j \ne i

    An example with many equally close neighbours has a high entropy. One class for everything scores the maximum,
    :math:`\log (n_t - 1)`: use it behind `gates`. The score grows with the number of examples, so only scores of the
    same target compare; at most 2000 examples, drawn at random, are used.

    Shapes: target probabilities ``(n_t, k)``. From 0 to :math:`\log (n_t - 1)`.

    Reference:
        Saito et al., Tune it the Right Way: Unsupervised Validation of Domain Adaptation via Soft Neighborhood
        Density, ICCV 2021. arXiv:2108.10860
    """

    shares: ClassVar[frozenset[str]] = frozenset({"lame", "nrc", "shot"})

    def _score(self, candidate: Candidate) -> float:
        p = candidate.target[some_rows(len(candidate.target))]
        if len(p) < 2:
            raise BadInput(f"{self.name}: needs two target examples or more; add examples")
        return soft_neighbourhood_density(p)
