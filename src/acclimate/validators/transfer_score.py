"""Transfer Score: an even classifier, clustered features, and confident and diverse predictions."""

from typing import ClassVar

import numpy as np
from scipy.special import expit, logsumexp

from acclimate.errors import BadInput
from acclimate.validators.base import CONFIDENT, SingleValidator
from acclimate.validators.candidate import Candidate, Numbers
from acclimate.validators.feature_space import unit_rows
from acclimate.validators.information_maximisation import mutual_information

DRAWN = 0.1
"""Share of the examples that the Hopkins statistic draws."""


def uniformity(head: Numbers) -> float:
    """Mean squared deviation of the angles between rows of ``head (k, d)`` from those of a regular simplex."""
    k = len(head)
    directions = unit_rows(head)
    angles = np.arccos((directions @ directions.T).clip(-1, 1))[np.triu_indices(k, 1)]
    return float(np.mean((angles - np.arccos(-1 / (k - 1))) ** 2))


def hopkins(x: Numbers, *, seed: int = 0) -> float:
    r"""The Hopkins statistic of ``x (n, d)``: 0.5 for points drawn uniformly from a box, 1 for tight clusters.

    .. math:: \frac{\sum_j u_j^d}{\sum_j u_j^d + \sum_j w_j^d}

    :math:`u` are distances of uniform points in the bounding box to the nearest example, :math:`w` those of as many
    examples to their nearest other. Powers of :math:`d` overflow where features are many, so sums are computed in
    logarithms.

    Raises:
        BadInput: There are fewer than two examples.

    Reference:
        Hopkins & Skellam, A New Method for Determining the Type of Distribution of Plant Individuals, 1954; with this
        power in Banerjee & Dave, Validating Clusters Using the Hopkins Statistic, 2004
    """
    from sklearn.neighbors import NearestNeighbors

    (n, d), rng = x.shape, np.random.default_rng(seed)
    if n < 2:
        raise BadInput("transfer_score: needs two target examples or more; add examples")
    m = max(1, round(DRAWN * n))
    index = NearestNeighbors().fit(x)
    anywhere = rng.uniform(x.min(0), x.max(0), (m, d))
    u = index.kneighbors(anywhere, 1)[0][:, 0]
    w = index.kneighbors(x[rng.choice(n, m, replace=False)], 2)[0][:, 1]
    with np.errstate(divide="ignore"):
        of_anywhere, of_examples = (logsumexp(d * np.log(distances)) for distances in (u, w))
    return 0.5 if np.isneginf([of_anywhere, of_examples]).all() else float(expit(of_anywhere - of_examples))


class TransferScore(SingleValidator):
    r"""The sum of three terms: evenness of the classifier, clustering of the features, certainty of the predictions.

    .. math:: -U + \mathrm{Hopkins}(f) + \frac{H(\bar p) - \frac{1}{n_t} \sum_i H(p(x_i))}{\log k}

    with `uniformity` :math:`U` of the head's weights, `hopkins` of the target's features, and mutual information. It
    assumes equal class shares. With hundreds of features the Hopkins statistic is nearly 0 or 1 and tells models
    apart only where one of them has no clusters at all.

    Shapes: head ``(k, d)``, target features ``(m_t, d)``, target probabilities ``(n_t, k)``. At most 2.

    Reference:
        Yang et al., Can We Evaluate Domain Adaptation Models Without Target-Domain Labels?, ICLR 2024.
        arXiv:2305.18712
    """

    shares: ClassVar[frozenset[str]] = CONFIDENT
    needs: ClassVar[tuple[str, ...]] = ("head", "target_features")

    def _score(self, candidate: Candidate) -> float:
        assert candidate.head is not None  # `needs` has it
        certain = mutual_information(candidate.target) / np.log(candidate.n_classes)
        return -uniformity(candidate.head) + hopkins(candidate.target_sample().features) + float(certain)
