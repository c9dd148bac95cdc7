"""Subspace alignment."""

from typing import Self

from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.decomposition import PCA

from acclimate.methods.shallow_base import Matrix, ShallowMap


class SubspaceAlignment(ClassNamePrefixFeaturesOutMixin, ShallowMap):
    r"""Align the source's principal directions with the target's.

    .. math::
        x_s \mapsto (x_s - \mu_s) \, P_s P_s^\top P_t, \qquad x_t \mapsto (x_t - \mu_t) \, P_t

    The columns of :math:`P` are the first principal directions of a domain.

    When to use:
        On many correlated columns of which few directions matter, such as features of a frozen model. With as many
        components as columns it does little more than rotate the axes.

    Shapes: source ``(n_s, d)``, target ``(n_t, d)`` with ``n_s, n_t ≥ 2``; mapped rows are ``(n, p)``.

    Args:
        n_components: Number of directions :math:`p`; at most as many as ``d``, ``n_s`` and ``n_t`` allow are used.

    Raises:
        BadInput: The target's columns are not the source's.

    Reference:
        Fernando, Habrard, Sebban & Tuytelaars, Unsupervised Visual Domain Adaptation Using Subspace Alignment,
        ICCV 2013. arXiv:1409.5241
    """

    def __init__(self, *, n_components: int = 20):
        self.n_components = n_components

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Learn both subspaces and the map between them."""
        source, target = self._domains(X, X_target)
        p = min(self.n_components, *source.shape, *target.shape)
        self.source_ = PCA(p, svd_solver="full").fit(source)
        self.target_ = PCA(p, svd_solver="full").fit(target)
        self.turn_ = self.source_.components_ @ self.target_.components_.T
        self._n_features_out = p
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """Rows of the target in its subspace."""
        mapped: Matrix = self.target_.transform(self._read(X))
        return mapped

    def transform_source(self, X: ArrayLike) -> Matrix:
        """Rows of the source in its subspace, mapped into the target's."""
        mapped: Matrix = self.source_.transform(self._read(X)) @ self.turn_
        return mapped
