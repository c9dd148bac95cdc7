"""Deep joint distribution optimal transport."""

from typing import ClassVar

import ot
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.distances import squared_distances
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.types import Losses, Outputs


class DeepJDOT(Method):
    r"""Pair each target example with source examples near in features and class, and learn to end what is between.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) + \min_{\pi} \sum_{i, j} \pi_{ij} \bigl(
            \alpha \, \lVert f(x_i^s) - f(x_j^t) \rVert^2 + \beta \, \mathrm{CE}(c(f(x_j^t)), y_i^s) \bigr)

    The coupling :math:`\pi`, with rows that sum to :math:`1/n_s` and columns that sum to :math:`1/n_t`, is optimal
    for the batch (exact optimal transport, by POT in float64 on the CPU) and a constant to the gradient, which goes
    through the cost alone. It is the paper's cost with the same class term in the coupling and in the loss; the
    authors' code couples by the squared distance of probabilities. A coupling of a batch takes its classes to be as
    frequent in the target as in the source. Seeds cannot be trained as one
    model.

    When to use:
        Where the domains lie near each other, the classes are as frequent in both and batches hold all of them; else
        it must pair examples of different classes. Choose the weights by the width of the features, of which the
        distance is a sum.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``, target logits ``(n_t, k)``; ``n_s`` need not equal ``n_t``.

    Args:
        feature_weight: :math:`\alpha`, of the squared distance of features; 0.001 in the authors' digits. It is not
            divided by ``d``.
        class_weight: :math:`\beta`, of the class loss between a source label and a target prediction; 0.0001 in
            the authors' digits.

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
        """Class loss, and the two parts of what the coupling costs."""
        far = self.feature_weight * squared_distances(source.features, target.features)
        unlike = self.class_weight * -target.logits.log_softmax(1).T[labels]
        plan = coupling(far + unlike)
        return {
            "class": cross_entropy(source.logits, labels),
            "transport features": (plan * far).sum(),
            "transport class": (plan * unlike).sum(),
        }


def coupling(cost: Tensor) -> Tensor:
    """The plan ``(n, m)`` between uniform marginals that a detached ``cost (n, m)`` makes cheapest."""
    n, m = cost.shape
    plan = ot.emd(ot.unif(n), ot.unif(m), cost.detach().double().cpu().numpy())
    return torch.from_numpy(plan).to(cost)
