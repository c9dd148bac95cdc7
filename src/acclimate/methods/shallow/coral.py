"""Correlation alignment in closed form."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OneToOneFeatureMixin

from acclimate.methods.shallow_base import Matrix, ShallowMap, power


class CORAL(OneToOneFeatureMixin, ShallowMap):
    r"""Whiten the source and recolour it with the target's covariance.

    .. math::
        x_s \mapsto (x_s - \mu_s) \, C_s^{-1/2} C_t^{1/2} + \mu_t, \qquad C = \mathrm{cov}(X) + r I

    The target does not change. The paper assumes features of mean zero, for which the means vanish.

    When to use:
        On tables and features of a frozen model, with up to some thousand columns (a step takes :math:`O(d^3)`), where
        the domains differ in scale and correlation: it takes seconds, and little can go wrong. Keep ``reg`` above 0 if
        there are fewer rows than columns.

    Shapes: source ``(n_s, d)``, target ``(n_t, d)`` with ``n_s, n_t ≥ 2``; the map ``coral_`` is ``(d, d)``.

    Args:
        reg: The ridge :math:`r` on both covariances; 1 in the paper, for features of unit variance.
        center: Whether to move the source's mean to the target's too; ``False`` is the paper's exact formula.

    Raises:
        BadInput: ``reg`` is 0 and a covariance has no inverse.

    Reference:
        Sun, Feng & Saenko, Return of Frustratingly Easy Domain Adaptation, AAAI 2016. arXiv:1511.05547
    """

    def __init__(self, *, reg: float = 1.0, center: bool = True):
        self.reg = reg
        self.center = center

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Learn the map of the source from both domains."""
        source, target = self._domains(X, X_target)
        self.coral_ = coral_map(source, target, self.reg)
        self.mean_source_ = self.center * source.mean(0)
        self.mean_target_ = self.center * target.mean(0)
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """Rows of the target, unchanged."""
        target: Matrix = self._read(X)
        return target

    def transform_source(self, X: ArrayLike) -> Matrix:
        """Rows of the source with the target's covariance."""
        mapped: Matrix = (self._read(X) - self.mean_source_) @ self.coral_ + self.mean_target_
        return mapped


def coral_map(source: Matrix, target: Matrix, reg: float) -> Matrix:
    """The matrix ``C_s^{-1/2} C_t^{1/2}``, ``(d, d)``, for rows ``(n_s, d)`` and ``(n_t, d)``."""
    c_s, c_t = (np.atleast_2d(np.cov(rows.T)) + reg * np.eye(rows.shape[1]) for rows in (source, target))
    return power(c_s, -0.5) @ power(c_t, 0.5)
