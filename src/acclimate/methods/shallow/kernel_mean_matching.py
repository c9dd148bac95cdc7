"""Kernel mean matching."""

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize
from sklearn.metrics.pairwise import pairwise_kernels

from acclimate.errors import BadInput
from acclimate.methods.shallow_base import Matrix, Shallow


class KernelMeanMatching(Shallow):
    r"""Weight the source so that its mean in a kernel's feature space is the target's.

    .. math::
        \min_\beta \; \tfrac12 \beta^\top K \beta - \kappa^\top \beta \quad \text{with} \quad
        0 \le \beta_i \le B, \; \Bigl| \sum_i \beta_i - n_s \Bigr| \le n_s \epsilon, \qquad
        K_{ij} = k(x_i, x_j), \; \kappa_i = \frac{n_s}{n_t} \sum_j k(x_i, x'_j)

    It needs no model of either density. Like importance weighting, it is for covariate shift.

    When to use:
        As importance weighting, on up to some thousand rows, without a domain classifier. With wide rows, or a target
        outside the source, a few examples take all the weight.

    Shapes: source ``(n_s, d)``, target ``(n_t, d)``, either may be sparse; ``weights_`` are ``(n_s,)``.
    It takes ``O(n_s²)`` memory.

    Args:
        kernel: ``rbf`` or ``linear``.
        gamma: Of ``exp(−γ‖x − x′‖²)``; ``1 / d`` if ``None``.
        bound: The bound :math:`B`.
        eps: :math:`\epsilon`; the paper's :math:`1 - 1/\sqrt{n_s}` if ``None``.

    Raises:
        BadInput: No weights within the bound have the required sum.

    Reference:
        Huang, Smola, Gretton, Borgwardt & Schölkopf, Correcting Sample Selection Bias by Unlabeled Data, NIPS 2006.
    """

    takes_sparse = True

    def __init__(
        self,
        *,
        kernel: Literal["rbf", "linear"] = "rbf",
        gamma: float | None = None,
        bound: float = 1000.0,
        eps: float | None = None,
    ):
        self.kernel = kernel
        self.gamma = gamma
        self.bound = bound
        self.eps = eps

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, X_target: ArrayLike | None = None) -> Self:
        """Find the source's weights."""
        source, target = self._domains(X, X_target, least=1)
        options = {"metric": self.kernel, "filter_params": True, "gamma": self.gamma}
        within = pairwise_kernels(source, **options)
        across = pairwise_kernels(source, target, **options).mean(1) * len(within)
        eps = 1 - len(within) ** -0.5 if self.eps is None else self.eps
        self.weights_ = match(within, across, self.bound, eps)
        return self


def match(kernel: Matrix, kappa: Matrix, bound: float, eps: float) -> Matrix:
    """The weights ``β``, ``(n,)``, for ``K``, ``(n, n)``, and ``κ``, ``(n,)``.

    A price ``ν`` on the sum replaces the constraint on it. The sum falls as the price rises, so the price at which the
    constraint holds is a root, and each price leaves only bounds.

    Raises:
        BadInput: ``bound`` is below ``1 − eps``.
    """
    n = len(kappa)
    if bound < 1 - eps:
        raise BadInput(
            f"bound={bound}: the weights cannot have a mean of 1 − eps = {1 - eps:.3g}; use a larger bound or eps"
        )
    weights = bounded_weights(kernel, kappa, bound)
    wanted = np.clip(weights.sum(), n * (1 - eps), n * (1 + eps))
    if weights.sum() == wanted:
        return weights
    dearest, cheapest = kappa.max(), (kappa - bound * kernel.clip(0).sum(1)).min()
    price = brentq(
        lambda nu: bounded_weights(kernel, kappa - nu, bound).sum() - wanted, cheapest, dearest, xtol=1e-12 * n
    )
    return bounded_weights(kernel, kappa - price, bound)


def bounded_weights(kernel: Matrix, kappa: Matrix, bound: float) -> Matrix:
    """The weights without the constraint on their sum."""
    n = len(kappa)

    def loss(beta: Matrix) -> tuple[float, Matrix]:
        pull = kernel @ beta
        return float(beta @ (pull / 2 - kappa)) / n, (pull - kappa) / n

    strict = {"ftol": 0.0, "gtol": 1e-12, "maxiter": 10_000, "maxfun": 20_000, "maxcor": 30}
    start = np.full(n, min(1.0, bound))
    weights: Matrix = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, bound)] * n, options=strict).x
    return weights
