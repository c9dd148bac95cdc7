"""Linear optimal transport."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OneToOneFeatureMixin

from acclimate.methods.shallow_base import Matrix, ShallowMap, power


class LinearOT(OneToOneFeatureMixin, ShallowMap):
    r"""Move the source by the optimal transport map between two Gaussians, which is linear.

    .. math::
        x_s \mapsto (x_s - \mu_s) \, A + \mu_t, \qquad
        A = C_s^{-1/2} \bigl( C_s^{1/2} C_t C_s^{1/2} \bigr)^{1/2} C_s^{-1/2}, \qquad C = \mathrm{cov}(X) + r I

    Like CORAL it gives the source the target's mean and covariance; of all maps that do, it moves the source least.
    Covariances are divided by ``n``, as in POT, whose mapping this equals.

    When to use:
        As CORAL, where the target is a shifted or stretched source with the same class proportions: if the mean differs
        because the proportions do, that difference is removed too.

    Shapes: source ``(n_s, d)``, target ``(n_t, d)`` with ``n_s, n_t ≥ 2``; the map ``transport_`` is ``(d, d)``.

    Args:
        reg: The ridge :math:`r` on both covariances, in the features' squared unit.

    Raises:
        BadInput: ``reg`` is 0 and the source's covariance has no inverse.

    Reference:
        Flamary, Lounici & Ferrari, Concentration bounds for linear Monge mapping estimation and optimal transport
        domain adaptation, 2019. arXiv:1905.10155
    """

    def __init__(self, *, reg: float = 1e-6):
        self.reg = reg

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Learn the map of the source from both domains."""
        source, target = self._domains(X, X_target)
        self.transport_ = monge_map(source, target, self.reg)
        self.mean_source_, self.mean_target_ = source.mean(0), target.mean(0)
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """Rows of the target, unchanged."""
        target: Matrix = self._read(X)
        return target

    def transform_source(self, X: ArrayLike) -> Matrix:
        """Rows of the source, transported to the target."""
        moved: Matrix = (self._read(X) - self.mean_source_) @ self.transport_ + self.mean_target_
        return moved


def monge_map(source: Matrix, target: Matrix, reg: float) -> Matrix:
    """The symmetric matrix ``A``, ``(d, d)``, for rows ``(n_s, d)`` and ``(n_t, d)``."""
    c_s, c_t = (np.atleast_2d(np.cov(rows.T, bias=True)) + reg * np.eye(rows.shape[1]) for rows in (source, target))
    root, inverse = power(c_s, 0.5), power(c_s, -0.5)
    return inverse @ power(root @ c_t @ root, 0.5) @ inverse
