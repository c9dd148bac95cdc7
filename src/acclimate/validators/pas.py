"""How clearly target examples belong to one class of the source, before any adaptation."""

from typing import ClassVar

import numpy as np

from acclimate.errors import BadInput
from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate, Codes, Numbers
from acclimate.validators.feature_space import unit_rows


def centroid_margin(source: Numbers, labels: Codes, target: Numbers) -> float:
    """Mean of 1 minus the ratio of the distances to the nearest and to the second-nearest class centroid.

    Args:
        source: Features ``(n_s, d)``.
        labels: Their classes ``(n_s,)``.
        target: Features ``(n_t, d)``.

    Raises:
        BadInput: There are fewer than two classes.
    """
    classes = np.unique(labels)
    if len(classes) < 2:
        raise BadInput("pas: needs source examples of two classes or more; add examples")
    centroids = np.stack([source[labels == c].mean(0) for c in classes])
    distances = (1 - unit_rows(target) @ unit_rows(centroids).T).clip(0)
    nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
    return float(np.mean(1 - nearest / np.where(second > 0, second, np.inf) - (second == 0)))


class PAS(SingleValidator):
    r"""Potential adaptability score: the margin between the nearest and the second-nearest source centroid.

    .. math:: \frac{1}{m_t} \sum_j \left( 1 - \frac{d_{j(1)}}{d_{j(2)}} \right), \qquad
        d_{jc} = 1 - \cos(f(x_j), \mu_c), \quad \mu_c = \text{mean of } f(x_i) \text{ with } y_i = c

    It is meant for features *before* adaptation, to choose a backbone or a source. Of adapted features it says how
    tightly they cluster around the source's classes, which alignment brings about whether it is right or wrong.

    Shapes: source features ``(m_s, d)`` with labels, target features ``(m_t, d)``. From 0 to 1.

    Reference:
        Diniz et al., PAS: Estimating the Target Accuracy Before Domain Adaptation, ICLR 2026. arXiv:2604.09863
    """

    needs: ClassVar[tuple[str, ...]] = ("source_features", "target_features")

    def _score(self, candidate: Candidate) -> float:
        source = candidate.source_sample()
        return centroid_margin(source.features, source.labels, candidate.target_sample().features)
