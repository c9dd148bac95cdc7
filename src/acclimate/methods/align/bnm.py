"""Batch nuclear-norm maximization."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.types import Losses, Outputs


class BNM(Method):
    r"""Learn a classifier that is sure of the target's examples and does not give them all the same few classes.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) - \frac{\text{weight}}{n_t} \lVert P \rVert_*, \qquad
        P = \mathrm{softmax}(z_t)

    The nuclear norm :math:`\lVert P \rVert_*`, the sum of the singular values, is at most
    :math:`\sqrt{n_t \min(n_t, k)}`. It grows with the norm of :math:`P`, which is certainty, and with its rank,
    which is diversity; so a class that is rare in the target is not swallowed. No part of the source's features is
    aligned, and classes that the target has not got are invited too.

    When to use:
        As MCC, where classes are many or rare ones are swallowed. It too sharpens what the model believes, and it
        invites classes that the target has not got.

    Shapes: target logits ``(n_t, k)``.

    Args:
        weight: Trade-off with the class loss; 1 in the paper.

    Reference:
        Cui et al., Towards Discriminability and Diversity: Batch Nuclear-norm Maximization under Label Insufficient
        Situations, CVPR 2020. arXiv:2003.12237
    """

    whole_batch: ClassVar[bool] = True

    def __init__(self, model: Classifier, *, weight: float = 1.0):
        super().__init__(model)
        self.weight = weight

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Class loss and the nuclear norm of the target's predictions, which is to grow."""
        return {
            "class": cross_entropy(source.logits, labels),
            "nuclear norm": -self.weight * nuclear_norm(target.logits.softmax(1)) / len(target.logits),
        }


def nuclear_norm(p: Tensor) -> Tensor:
    """Sum of the singular values of ``p (n, k)``."""
    wide = p.to(torch.promote_types(p.dtype, torch.float32))  # there is no decomposition in half precision
    norm: Tensor = torch.linalg.svdvals(wide).sum()
    return norm
