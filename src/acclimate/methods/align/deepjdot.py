"""Deep joint distribution optimal transport."""

from typing import ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import eye_array, kron, vstack
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.distances import squared_distances
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.types import Losses, Outputs

Matrix: TypeAlias = NDArray[np.float64]


class DeepJDOT(Method):
    r"""Pair target examples with source examples similar in features and class, and reduce what differs within pairs.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) + \min_{\pi} \sum_{i, j} \pi_{ij} \bigl(
            \alpha \, \lVert f(x_i^s) - f(x_j^t) \rVert^2 + \beta \, \mathrm{CE}(c(f(x_j^t)), y_i^s) \bigr)

    The coupling :math:`\pi`, whose rows sum to :math:`1/n_s` and whose columns sum to :math:`1/n_t`, is optimal for the
    batch (exact optimal transport, in float64 on the CPU). It is a constant to the gradient, which flows through the
    cost alone. Coupling and loss use the paper's cost with the same class term; the authors' code couples by the
    squared distance of probabilities. The coupling of a batch assumes the same class proportions in both domains. Seeds
    cannot be trained as one model.

    When to use:
        Where the domains are close, their class proportions are equal and batches contain all classes; otherwise it
        has to pair examples of different classes. Choose the weights by the number of features, over which the distance
        is a sum.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``, target logits ``(n_t, k)``; ``n_s`` need not equal ``n_t``.

    Args:
        feature_weight: :math:`\alpha`, of the squared distance of features; 0.001 in the authors' digit experiments. It
            is not divided by ``d``.
        class_weight: :math:`\beta`, of the class loss between a source label and a target prediction; 0.0001 in the
            authors' digit experiments.

    Reference:
        Damodaran et al., DeepJDOT: Deep Joint Distribution Optimal Transport for Unsupervised Domain Adaptation,
        ECCV 2018. arXiv:1803.10081
    """

    batched: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True

    def __init__(self, model: Classifier, *, feature_weight: float = 0.001, class_weight: float = 0.0001):
        super().__init__(model)
        self.feature_weight, self.class_weight = feature_weight, class_weight

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Class loss and the two parts of the coupling's cost."""
        far = self.feature_weight * squared_distances(source.features, target.features)
        unlike = self.class_weight * -target.logits.log_softmax(1).T[labels]
        plan = coupling(far + unlike)
        return {
            "class": cross_entropy(source.logits, labels),
            "transport features": (plan * far).sum(),
            "transport class": (plan * unlike).sum(),
        }


def coupling(cost: Tensor) -> Tensor:
    """The cheapest plan ``(n, m)`` between uniform marginals for a detached ``cost (n, m)``; exact."""
    n, m = cost.shape
    if not cost.isfinite().all():
        return torch.full_like(cost, 1 / (n * m))  # so that the loss is not finite either, and training stops
    costs = cost.detach().double().cpu().numpy()
    return torch.from_numpy(assignment(costs) if n == m else transport(costs)).to(cost)


def assignment(cost: Matrix) -> Matrix:
    """The cheapest plan for a square ``cost (n, n)``: a permutation divided by ``n``."""
    plan = np.zeros_like(cost)
    plan[linear_sum_assignment(cost)] = 1 / len(cost)
    return plan


def transport(cost: Matrix) -> Matrix:
    """The cheapest plan for any ``cost (n, m)``, by linear programming."""
    n, m = cost.shape
    marginals = vstack([kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))])
    shares = np.repeat([1 / n, 1 / m], [n, m])
    plan: Matrix = linprog(cost.ravel(), A_eq=marginals, b_eq=shares).x
    return plan.reshape(n, m)
