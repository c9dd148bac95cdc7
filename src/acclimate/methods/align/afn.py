"""Adaptive feature norm."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.types import Losses, Outputs


class AFN(Method):
    r"""Learn features whose norm grows step by step in both domains.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) + \text{weight} \cdot \Bigl[
            \frac{1}{n_s} \sum_i \ell(f(x_i^s)) + \frac{1}{n_t} \sum_j \ell(f(x_j^t)) \Bigr], \qquad
        \ell(f) = \bigl(\lVert f \rVert - (\overline{\lVert f \rVert} + \text{step})\bigr)^2

    This is the stepwise variant (SAFN). :math:`\overline{\lVert f \rVert}` is the norm itself, as a constant to the
    gradient: each step asks every example for a norm slightly larger than it has, because target examples with small
    norms transfer badly. The value of the loss is therefore always :math:`2 \cdot \text{weight} \cdot \text{step}^2`;
    only its gradient carries information. Only the class loss bounds the norm, so a large learning rate can make it
    diverge. The domains' means are added, as in the authors' code. The paper's norm-preserving dropout belongs in the
    backbone and is not part of this method.

    When to use:
        With a pretrained backbone on photographs, where target features have smaller norms than source features:
        compare the norms first. It makes no assumption about the predictions, but it does not know in which direction
        features should grow either.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``; ``n_s`` need not equal ``n_t``.

    Args:
        weight: Trade-off with the class loss; 0.05 in the paper.
        step: How much the norm should grow; 1 in the paper.

    Reference:
        Xu et al., Larger Norm More Transferable: An Adaptive Feature Norm Approach for Unsupervised Domain
        Adaptation, ICCV 2019. arXiv:1811.07456
    """

    def __init__(self, model: Classifier, *, weight: float = 0.05, step: float = 1.0):
        super().__init__(model)
        self.weight, self.step = weight, step

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Class loss and the loss of the norms."""
        norm = norm_loss(source.features, self.step) + norm_loss(target.features, self.step)
        return {"class": cross_entropy(source.logits, labels), "norm": self.weight * norm}


def norm_loss(features: Tensor, step: float) -> Tensor:
    """Mean squared difference between each norm of ``features (n, d)`` and its constant value plus ``step``."""
    norm: Tensor = torch.linalg.vector_norm(features, dim=1)
    return (norm - (norm.detach() + step)).square().mean()
