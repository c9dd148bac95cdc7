"""Reverse validation: does what the model says of the target lead back to the source's labels?"""

from typing import ClassVar

from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate
from acclimate.validators.feature_space import predicted_by_another


class ReverseValidation(SingleValidator):
    r"""Accuracy on the source of a classifier that learnt from the model's predictions on the target alone.

    .. math::
        \frac{1}{m_s} \sum_i [\, h(f(x_i)) = y_i \,], \qquad
        h \text{ fitted on } \{(f(x_j), \hat y_j)\}_{x_j \in T}

    The classifier :math:`h` is a logistic regression on the model's features, which stay fixed: the original trains a
    whole model in the reverse direction for every candidate. Wrong predictions that are wrong in the same way on the
    source, such as two classes exchanged in both domains, cost what they are worth; an error that follows from aligned
    features alone is not seen.

    Shapes: source features ``(m_s, d)`` with labels, target features ``(m_t, d)`` with probabilities. From 0 to 1.

    Reference:
        Zhong et al., Cross Validation Framework to Choose Amongst Models and Datasets for Transfer Learning, ECML 2010,
        doi:10.1007/978-3-642-15939-8_35; for networks in Ganin et al., 2016. arXiv:1505.07818
    """

    needs: ClassVar[tuple[str, ...]] = ("source_features", "target_features")

    def _score(self, candidate: Candidate) -> float:
        source, target = candidate.source_sample(), candidate.target_sample()
        back = predicted_by_another(target.features, target.predicted, source.features)
        return float((back == source.labels).mean())
