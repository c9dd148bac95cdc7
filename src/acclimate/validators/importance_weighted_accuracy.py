"""Accuracy on the source, weighted as if its examples came from the target."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate, Numbers
from acclimate.validators.density_ratio import importance_weights


def weighted_accuracy(right: NDArray[np.bool_], weights: Numbers) -> float:
    """Share of ``right (n,)`` with ``weights (n,)``."""
    return float(np.average(right, weights=weights))


class ImportanceWeightedAccuracy(SingleValidator):
    r"""Accuracy on held-out source examples, each weighted by how much more likely it is in the target.

    .. math:: \frac{\sum_i w(x_i) \, [\, \arg\max_c p_c(x_i) = y_i \,]}{\sum_i w(x_i)}

    with weights by a cross-fitted `density_ratio.density_ratio` of the candidate's features. It assumes that only the
    inputs shift, and is refused where few source examples carry all the weight. A method that makes the features of
    both domains alike makes all weights alike, so that source accuracy remains.

    Shapes: source features ``(m_s, d)`` with their probabilities and labels, target features ``(m_t, d)``. From 0 to 1.

    Reference:
        Sugiyama et al., Covariate Shift Adaptation by Importance Weighted Cross Validation, JMLR 2007,
        https://jmlr.org/papers/v8/sugiyama07a.html
    """

    shares: ClassVar[frozenset[str]] = frozenset({"importance_weighting", "kernel_mean_matching"})
    needs: ClassVar[tuple[str, ...]] = ("source_features", "target_features")

    def _score(self, candidate: Candidate) -> float:
        known = candidate.source_sample()
        return weighted_accuracy(known.probabilities.argmax(1) == known.labels, importance_weights(candidate))
