"""Batch nuclear-norm maximization."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.types import Losses, Outputs


class BNM(Method):
    r"""Learn a classifier that is confident on the target and still predicts diverse classes.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) - \frac{\text{weight}}{n_t} \lVert P \rVert_*, \qquad
        P = \mathrm{softmax}(z_t)

    The nuclear norm :math:`\lVert P \rVert_*`, the sum of the singular values, is at most
    :math:`\sqrt{n_t \min(n_t, k)}`. It grows with the norm of :math:`P`, which measures confidence, and with its rank,
    which measures diversity, so that frequent target classes do not absorb rare ones. Nothing aligns the features of
    the two domains, and classes absent from the target are encouraged too.

    When to use:
        As MCC, where there are many classes or rare ones are absorbed. It too reinforces what the model already
        predicts, and it encourages classes that the target lacks.

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
        """Class loss and the negative nuclear norm of the target's predictions."""
        return {
            "class": cross_entropy(source.logits, labels),
            "nuclear norm": -self.weight * nuclear_norm(target.logits.softmax(1)) / len(target.logits),
        }


def nuclear_norm(p: Tensor) -> Tensor:
    """Sum of the singular values of ``p (n, k)``."""
    wide = p.to(torch.promote_types(p.dtype, torch.float32))  # torch has no decomposition in half precision
    norm: Tensor = torch.linalg.svdvals(wide).sum()
    return norm
