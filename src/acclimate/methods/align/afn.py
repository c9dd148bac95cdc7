"""Adaptive feature norm."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.types import Losses, Outputs


class AFN(Method):
    r"""Learn features whose norm grows, step by step, in both domains.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) + \text{weight} \cdot \Bigl[
            \frac{1}{n_s} \sum_i \ell(f(x_i^s)) + \frac{1}{n_t} \sum_j \ell(f(x_j^t)) \Bigr], \qquad
        \ell(f) = \bigl(\lVert f \rVert - (\overline{\lVert f \rVert} + \text{step})\bigr)^2

    This is the stepwise variant (SAFN). :math:`\overline{\lVert f \rVert}` is the norm itself as a constant to the
    gradient: each step asks of each example a norm a little larger than it has, since examples of the target with
    a small norm are those that transfer badly. The value of the loss is therefore always
    :math:`2 \cdot \text{weight} \cdot \text{step}^2`, and only its gradient tells anything. Nothing but the class loss
    bounds the norm, so a large learning rate drives it off. The domains' means are added, as in the authors' code.
    The paper's dropout that preserves the norm is a matter of the backbone and not here.

    When to use:
        With a pretrained backbone on photographs, where features of the target come out shorter than those of the
        source: compare their norms first. It asks nothing of the predictions, but nor does it tell apart which way
        features should grow.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``; ``n_s`` need not equal ``n_t``.

    Args:
        weight: Trade-off with the class loss; 0.05 in the paper.
        step: By how much the norm is to grow; 1 in the paper.

    Reference:
        Xu et al., Larger Norm More Transferable: An Adaptive Feature Norm Approach for Unsupervised Domain
        Adaptation, ICCV 2019. arXiv:1811.07456
    """

    def __init__(self, model: Classifier, *, weight: float = 0.05, step: float = 1.0):
        super().__init__(model)
        self.weight, self.step = weight, step

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Class loss and what the norms lack."""
        lack = norm_lack(source.features, self.step) + norm_lack(target.features, self.step)
        return {"class": cross_entropy(source.logits, labels), "norm": self.weight * lack}


def norm_lack(features: Tensor, step: float) -> Tensor:
    """Mean squared distance of each norm of ``features (n, d)`` to itself, held fast, plus ``step``."""
    norm: Tensor = torch.linalg.vector_norm(features, dim=1)
    return (norm - (norm.detach() + step)).square().mean()
