"""Importance weighting by a domain classifier."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from acclimate.methods.shallow_base import Matrix, Rows, Shallow, stacked


class ImportanceWeighting(Shallow):
    r"""Weight each source row by how much more likely it is in the target.

    .. math::
        w(x) = \min\Bigl( \frac{n_s}{n_t} \, \frac{P(\mathrm{target} \mid x)}{P(\mathrm{source} \mid x)},\; B \Bigr)

    A domain classifier gives :math:`P`; the weights are then divided by their mean over the source. This is for
    covariate shift: the target lies within the source, in other proportions, and labels follow from features. If the
    classifier separates the domains perfectly, few rows keep a weight; use a smaller ``C``.

    When to use:
        On covariate shift in few columns, where the target lies within the source. It does harm on bags of words and
        other wide rows, where the domains can be separated almost perfectly and few examples keep a weight.

    Shapes: source ``(n_s, d)``, target ``(n_t, d)``, either may be sparse; ``weights_`` are ``(n_s,)``, of mean 1.

    Args:
        C: Inverse strength of the ridge penalty on the logistic regression that separates the domains.
        classifier: Replaces it: any scikit-learn classifier with ``predict_proba``.
        max_weight: The bound :math:`B`.

    Reference:
        Bickel, Brückner & Scheffer, Discriminative Learning Under Covariate Shift, JMLR 10:2137–2155, 2009.
    """

    takes_sparse = True

    def __init__(self, *, C: float = 1.0, classifier: Any = None, max_weight: float = 100.0):
        self.C = C
        self.classifier = classifier
        self.max_weight = max_weight

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Train the domain classifier and derive the source's weights."""
        source, target = self._domains(X, X_target, least=1)
        sizes = source.shape[0], target.shape[0]
        logistic = LogisticRegression(C=self.C, max_iter=1000)
        classifier = logistic if self.classifier is None else clone(self.classifier)
        self.classifier_ = classifier.fit(stacked(source, target), np.repeat([0, 1], sizes))
        self.share_ = sizes[0] / sizes[1]
        self.scale_ = self._ratio(source).mean()
        self.weights_ = self.weights(source)
        return self

    def weights(self, X: ArrayLike) -> Matrix:
        """Weights ``(n,)`` of other source rows, on the scale of ``weights_``."""
        weights: Matrix = self._ratio(self._read(X)) / self.scale_
        return weights

    def _ratio(self, rows: Rows) -> Matrix:
        of_source, of_target = self.classifier_.predict_proba(rows).T
        odds = of_target / np.maximum(of_source, np.finfo(float).eps)
        ratio: Matrix = np.minimum(self.share_ * odds, self.max_weight)
        return ratio
