"""The protocol of shallow methods, scikit-learn's own, and what several of them need."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse, vstack
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from acclimate.errors import BadInput

Matrix: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = Matrix | csr_array
"""Float64, ``(n, d)``: dense or sparse."""


class Shallow(BaseEstimator):
    """A method that ``fit`` learns from the source, its labels if needed, and the unlabelled target.

    Without ``X_target`` the source also serves as the target, so nothing is adapted.
    """

    takes_sparse = False

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Learn from source ``X``, ``(n_s, d)``, and target ``X_target``, ``(n_t, d)``."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.takes_sparse
        return tags

    def _domains(self, X: ArrayLike, X_target: ArrayLike | None, least: int = 2) -> tuple[Rows, Rows]:
        source = self._read(X, reset=True, ensure_min_samples=least)
        if X_target is None:
            return source, source
        try:
            return source, self._read(X_target, ensure_min_samples=least)
        except ValueError as error:
            raise BadInput(f"X_target: {error}") from error

    def _read(self, X: ArrayLike, *, reset: bool = False, **checks: int) -> Rows:
        if not reset:
            check_is_fitted(self, "n_features_in_")
        sparse = "csr" if self.takes_sparse else False
        rows: Rows = validate_data(self, X, reset=reset, accept_sparse=sparse, dtype=np.float64, **checks)
        return rows


class ShallowMap(TransformerMixin, Shallow):
    """A shallow method that maps features: ``transform`` rows to predict, ``transform_source`` rows to learn from.

    ``fit_transform`` returns the mapped source, so the next step of a scikit-learn pipeline learns from that, and the
    pipeline then predicts rows of the target.
    """

    @abstractmethod
    def transform(self, X: ArrayLike) -> Matrix:
        """Map rows of the target, ``(n, d)``."""

    @abstractmethod
    def transform_source(self, X: ArrayLike) -> Matrix:
        """Map rows of the source, ``(n, d)``, to where a model for the target can learn from them."""

    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Matrix:
        """Learn from both domains and map the source."""
        return self.fit(X, y, X_target=X_target).transform_source(X)


def dense(rows: Rows) -> Matrix:
    """Return the rows as an array."""
    return np.asarray(rows.toarray() if issparse(rows) and not isinstance(rows, np.ndarray) else rows)


def stacked(source: Rows, target: Rows) -> Rows:
    """Rows of both domains, ``(n_s + n_t, d)``, those of the source first; sparse if either is."""
    if issparse(source) or issparse(target):
        return vstack([source, target], "csr")
    return np.vstack([source, target])


def power(matrix: Matrix, exponent: float) -> Matrix:
    """A power of a symmetric matrix without negative eigenvalues, ``V diag(λ^p) Vᵀ``.

    Args:
        matrix: Symmetric, ``(d, d)``; eigenvalues that rounding made negative count as zero.
        exponent: The power ``p``; a negative one needs an invertible matrix.

    Raises:
        BadInput: The power is negative and the matrix singular.

    Example:
        >>> power(np.diag([4.0, 9.0]), 0.5).round(12).tolist()
        [[2.0, 0.0], [0.0, 3.0]]
    """
    values, vectors = np.linalg.eigh(matrix)
    if exponent < 0 and values[0] <= len(values) * np.finfo(float).eps * values[-1]:
        raise BadInput("a covariance is singular: use a positive reg, or more rows than columns")
    powered: Matrix = (vectors * values.clip(0) ** exponent) @ vectors.T
    return powered
