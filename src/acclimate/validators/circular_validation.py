"""Circular validation: from the source's labels to the target and back."""

from typing import ClassVar

import numpy as np

from acclimate.errors import BadInput
from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate, Codes, Numbers
from acclimate.validators.feature_space import half, predicted_by_another


def circular_accuracy(source: Numbers, labels: Codes, target: Numbers) -> float:
    """The score of source features ``(n_s, d)`` with ``labels (n_s,)`` and target features ``(n_t, d)``."""
    first = half(len(labels))
    right = []
    for start, end in ((first, ~first), (~first, first)):
        on_target = predicted_by_another(source[start], labels[start], target)
        right.append(predicted_by_another(target, on_target, source[end]) == labels[end])
    return float(np.concatenate(right).mean())


class CircularValidation(SingleValidator):
    r"""Accuracy after a loop through the target: source labels, predictions on the target, and source labels again.

    .. math::
        \frac{1}{m_s} \sum_i [\, h_2(f(x_i)) = y_i \,], \qquad
        h_1 \text{ fitted on } \{(f(x_j), y_j)\}_{x_j \in S'}, \quad
        h_2 \text{ fitted on } \{(f(x_j), h_1(f(x_j)))\}_{x_j \in T}, \quad x_i \in S \setminus S'

    for each half :math:`S'` of the source in turn; :math:`h_1, h_2` are logistic regressions on the model's fixed
    features. It judges the features alone: unlike `reverse_validation`, the model's own predictions have no part, so
    that confident noise on good features is not seen.

    Shapes: source features ``(m_s, d)`` with labels, target features ``(m_t, d)``. From 0 to 1.

    Reference:
        Bruzzone & Marconcini, Domain Adaptation Problems: A DASVM Classification Technique and a Circular Validation
        Strategy, TPAMI 2010, doi:10.1109/TPAMI.2009.57
    """

    needs: ClassVar[tuple[str, ...]] = ("source_features", "target_features")

    def _score(self, candidate: Candidate) -> float:
        source, target = candidate.source_sample(), candidate.target_sample()
        if len(source.labels) < 2:
            raise BadInput(f"{self.name}: needs two source examples or more; add examples")
        return circular_accuracy(source.features, source.labels, target.features)
