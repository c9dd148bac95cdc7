"""Agreement of predicted classes with clusters of the target's features."""

from typing import ClassVar

import numpy as np

from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate, Codes, Numbers
from acclimate.validators.feature_space import unit_rows


def clusters(features: Numbers, k: int, *, seed: int = 0) -> Codes:
    """The cluster of each row of ``features (n, d)`` by k-means on the unit sphere ``(n,)``: ``k`` or fewer."""
    from sklearn.cluster import KMeans

    directions = unit_rows(features)
    distinct = len(np.unique(directions, axis=0))
    found = KMeans(min(k, distinct), n_init=3, random_state=seed).fit_predict(directions)
    return np.asarray(found, dtype=np.int64)


def class_ami(predicted: Codes, features: Numbers, k: int) -> float:
    """Adjusted mutual information of ``predicted (n,)`` and ``k`` clusters of ``features (n, d)``."""
    from sklearn.metrics import adjusted_mutual_info_score

    if (predicted == predicted[0]).all():
        return 0.0  # scikit-learn has 1 if all features fall into one cluster too
    return float(adjusted_mutual_info_score(predicted, clusters(features, k)))


class ClassAMI(SingleValidator):
    r"""Adjusted mutual information between predicted classes and as many clusters of the target's features.

    .. math:: \mathrm{AMI}(\hat y, \text{k-means}(f)) = \frac{I - E[I]}{\frac12 (H(\hat y) + H(\text{k-means})) - E[I]}

    Predictions that follow no structure of the features score 0, and so does one class for everything. K-means is run
    with three starts on features of length 1, since the length grows with confidence.

    Shapes: target features ``(m_t, d)`` and their probabilities. About 0 to 1.

    Reference:
        Musgrave et al., Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised Domain Adaptation,
        2022. arXiv:2208.07360
    """

    shares: ClassVar[frozenset[str]] = frozenset({"nrc", "shot"})
    needs: ClassVar[tuple[str, ...]] = ("target_features",)

    def _score(self, candidate: Candidate) -> float:
        known = candidate.target_sample()
        return class_ami(known.predicted, known.features, candidate.n_classes)
