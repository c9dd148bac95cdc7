"""Transfer component analysis."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.metrics.pairwise import pairwise_kernels

from acclimate.errors import BadInput
from acclimate.methods.shallow_base import Matrix, ShallowMap, stacked


class TCA(ClassNamePrefixFeaturesOutMixin, ShallowMap):
    r"""Keep what varies over both domains but whose mean hardly differs between them, in a kernel's feature space.

    .. math::
        \min_W \; \mathrm{tr}(W^\top K L K W) + \mu \, \mathrm{tr}(W^\top W)
        \quad \text{with} \quad W^\top K H K W = I, \qquad x \mapsto k(x, [X_s; X_t]) \, W

    :math:`L = l l^\top`, where :math:`l` is :math:`1/n_s` for the source and :math:`-1/n_t` for the target, and
    :math:`H` centres: :math:`W` is the leading eigenvectors of :math:`(K L K + \mu I)^{-1} K H K`. Both domains are
    mapped alike, new rows too.

    When to use:
        On up to a few thousand rows in all, where a kernel captures what the domains share. Labels play no part, so it
        may drop what separates the classes.

    Shapes: source ``(n_s, d)``, target ``(n_t, d)``; mapped rows are ``(n, p)``. It takes ``O((n_s + n_t)³)`` time.

    Args:
        n_components: Number of components :math:`p`; at most the kernel's rank are used.
        mu: The penalty :math:`\mu` on large weights (the authors' conference paper of 2009 uses its inverse).
        kernel: ``rbf`` or ``linear``.
        gamma: Of ``exp(−γ‖x − x′‖²)``; ``1 / d`` if ``None``.

    Raises:
        BadInput: ``mu`` is not positive, or all rows are equal.

    Reference:
        Pan, Tsang, Kwok & Yang, Domain Adaptation via Transfer Component Analysis, IEEE Transactions on Neural
        Networks 22(2):199–210, 2011.
    """

    def __init__(
        self,
        *,
        n_components: int = 20,
        mu: float = 1.0,
        kernel: Literal["rbf", "linear"] = "rbf",
        gamma: float | None = None,
    ):
        self.n_components = n_components
        self.mu = mu
        self.kernel = kernel
        self.gamma = gamma

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Learn the components from both domains."""
        source, target = self._domains(X, X_target)
        if self.mu <= 0:
            raise BadInput(f"mu={self.mu}: must be positive")
        self.rows_ = stacked(source, target)
        self.components_ = components(self._kernel(self.rows_), len(source), self.mu, self.n_components)
        self._n_features_out = self.components_.shape[1]
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """Components of rows of either domain."""
        mapped: Matrix = self._kernel(self._read(X)) @ self.components_
        return mapped

    def transform_source(self, X: ArrayLike) -> Matrix:
        """The same as ``transform``."""
        return self.transform(X)

    def _kernel(self, rows: Matrix) -> Matrix:
        kernel: Matrix = pairwise_kernels(rows, self.rows_, metric=self.kernel, filter_params=True, gamma=self.gamma)
        return kernel


def components(kernel: Matrix, n_source: int, mu: float, p: int) -> Matrix:
    """The weights ``W``, ``(n, ≤ p)``, for a kernel ``(n, n)`` of rows whose first ``n_source`` are the source's.

    Raises:
        BadInput: No component varies.
    """
    n = len(kernel)
    apart = kernel @ np.repeat([1 / n_source, -1 / (n - n_source)], [n_source, n - n_source])
    centred = kernel - kernel.mean(0)
    values, vectors = eigh(
        centred.T @ centred, np.outer(apart, apart) + mu * np.eye(n), subset_by_index=[max(0, n - p), n - 1]
    )
    kept = values > n * np.finfo(float).eps * max(values[-1], kernel.max() ** 2)
    if not kept.any():
        raise BadInput("all rows are equal, so there is no component")
    weights: Matrix = vectors[:, kept] / np.sqrt(values[kept])
    return weights[:, ::-1]
