"""Marginalised stacked denoising autoencoders."""

from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from acclimate.errors import BadInput
from acclimate.methods.shallow_base import Matrix, Rows, ShallowMap, dense, stacked


class MSDA(ClassNamePrefixFeaturesOutMixin, ShallowMap):
    r"""Learn features of both domains that restore missing entries, in closed form.

    Each layer is the linear map that best restores its input when each entry is set to zero with probability :math:`p`,
    on average over all ways to do so. It learns from both domains together and feeds the next layer. With a bias, a
    feature that is 1 and never missing, and :math:`S = X^\top X` over all rows,

    .. math::
        W = (Q + \eta I)^{-1} P, \quad Q_{ij} = \begin{cases} S_{ij} q_i q_j & i \ne j \\ S_{ii} q_i & i = j
        \end{cases}, \quad P_{ij} = q_i S_{ij}, \qquad h_l = \tanh([h_{l-1}, 1] \, W_l), \quad h_0 = x

    where :math:`q_i = 1 - p`, and 1 for the bias, which has no :math:`\eta`. Both domains are mapped alike, to
    :math:`[h_0, \dots, h_L]`. Inputs should be on the scale of tanh: presence, tf-idf, small counts.

    When to use:
        On bags of words, for which it was designed and where it is the first shallow method to try; elsewhere scale the
        columns to about 1 first. Not with tens of thousands of columns.

    Shapes: source ``(n_s, d)``, target ``(n_t, d)``, either may be sparse; mapped rows are ``(n, (layers + 1) d)``,
    dense. A layer takes ``O(d³)`` time and three ``d × d`` matrices of memory.

    Args:
        layers: Number of layers :math:`L`.
        corruption: The probability :math:`p`, in (0, 1).
        reg: The ridge :math:`\eta`.

    Raises:
        BadInput: ``corruption`` is not in (0, 1).

    Reference:
        Chen, Xu, Weinberger & Sha, Marginalized Denoising Autoencoders for Domain Adaptation, ICML 2012.
        arXiv:1206.4683
    """

    takes_sparse = True

    def __init__(self, *, layers: int = 5, corruption: float = 0.5, reg: float = 1e-5):
        self.layers = layers
        self.corruption = corruption
        self.reg = reg

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Learn the layers from both domains, one after the other."""
        if not 0 < self.corruption < 1:
            raise BadInput(f"corruption={self.corruption}: must be between 0 and 1")
        source, target = self._domains(X, X_target, least=1)
        rows = stacked(source, target)
        self.weights_per_layer_ = []
        for layer in range(self.layers):
            weights = denoiser(rows, self.corruption, self.reg)
            self.weights_per_layer_.append(weights)
            if layer + 1 < self.layers:
                rows = hidden(rows, weights)
        self._n_features_out = (self.layers + 1) * source.shape[1]
        return self

    def transform(self, X: ArrayLike) -> Matrix:
        """Rows of either domain, followed by the output of each layer."""
        rows: Rows = self._read(X)
        out = np.empty((rows.shape[0], self._n_features_out))
        ends = range(0, self._n_features_out + 1, rows.shape[1])
        places = [out[:, a:b] for a, b in pairwise(ends)]
        places[0][:] = dense(rows)
        for weights, place in zip(self.weights_per_layer_, places[1:], strict=True):
            rows = hidden(rows, weights, place)
        return out

    def transform_source(self, X: ArrayLike) -> Matrix:
        """The same as ``transform``."""
        return self.transform(X)


def denoiser(rows: Rows, corruption: float, reg: float) -> Matrix:
    """The weights ``W``, ``(d + 1, d)``, bias last, that best restore rows ``(n, d)``."""
    scatter, kept = _scatter(rows), 1 - corruption
    d = len(scatter) - 1
    restored = scatter[:, :d].copy()
    restored[:d] *= kept
    diagonal = np.r_[kept * scatter.diagonal()[:d] + reg, scatter[d, d]]
    scatter[:d] *= kept
    scatter[:, :d] *= kept
    np.fill_diagonal(scatter, diagonal)
    factor = cho_factor(scatter, lower=True, overwrite_a=True, check_finite=False)
    weights: Matrix = cho_solve(factor, restored, overwrite_b=True, check_finite=False)
    return weights


def hidden(rows: Rows, weights: Matrix, out: Matrix | None = None) -> Matrix:
    """``tanh([rows, 1] W)``, ``(n, d)``, written to ``out`` if given."""
    before: Matrix = rows @ weights[:-1]
    before += weights[-1]
    return np.tanh(before, out=before if out is None else out)


def _scatter(rows: Rows) -> Matrix:
    d = rows.shape[1]
    scatter = np.empty((d + 1, d + 1))
    scatter[:d, :d] = dense(rows.T @ rows)
    scatter[d, :d] = scatter[:d, d] = np.asarray(rows.sum(0)).ravel()
    scatter[d, d] = rows.shape[0]
    return scatter
