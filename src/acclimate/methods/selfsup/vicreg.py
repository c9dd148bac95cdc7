"""Variance-invariance-covariance regularisation."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from acclimate.augment import views
from acclimate.methods.base import Method
from acclimate.nn import Classifier, projector
from acclimate.nn.replicas import current_replica
from acclimate.types import Count, Labeled, Losses, Unlabeled


class VICReg(Method):
    r"""Learn features that agree on two views of an image, vary between images and do not repeat each other.

    .. math::
        \min_{f, g} \; \frac{\text{weight}}{n d} \lVert Z - Z' \rVert_F^2
            + \frac{\text{variance}}{2 d} \sum_{Y} \sum_j \max\bigl(0, 1 - \sqrt{\mathrm{Var}(y_j) + 10^{-4}}\bigr)
            + \frac{\text{covariance}}{d} \sum_{Y} \sum_{j \ne j'} C(Y)_{jj'}^2, \qquad Y \in \{Z, Z'\}

    :math:`Z` and :math:`Z'` are ``(n, d)``: the projections :math:`g(f(\cdot))` of two views of each image; the
    projection is discarded after pretraining. :math:`C` is their unbiased covariance over the batch. There is no
    teacher: the variance required of each coordinate within a batch prevents a collapse to one point. No labels are
    used, and the model's head is not trained. The weights are the paper's; the factor 1/2 of the variance is from the
    authors' code. With several processes, batch norm sees the rows of one process at a time.

    When to use:
        As BYOL, if a teacher is unwanted: a step passes the model twice instead of four times, but the projection is
        larger. The variance is estimated from a batch, so make batches as large as memory allows. What BYOL's page says
        about steps, ``flip`` and ``colours`` applies too.

    Shapes: images ``(n_t, c, h, w)``, features ``(n_t, d)``, projections ``(n_t, out)``.

    Args:
        weight: Weight of the invariance; 25 in the paper.
        variance: Weight of the variance; 25 in the paper.
        covariance: Weight of the covariance; 1 in the paper.
        hidden: Units of the projection's two hidden layers; 8192 in the paper, which is expensive.
        out: Width of the projection; 8192 in the paper.
        norm: Normalisation after the hidden layers: ``batch`` as in the paper, or ``layer``.
        crop: Smallest share of an image's area in a view; 0.08 in the paper.
        flip: Whether views may be mirrored left to right; not for digits.
        colours: Whether views may change colours; not where colour distinguishes the classes.

    Reference:
        Bardes, Ponce and LeCun, VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning,
        ICLR 2022. arXiv:2105.04906
    """

    needs: ClassVar[frozenset[str]] = frozenset({"target"})
    tasks: ClassVar[frozenset[str]] = frozenset()
    looks_at_inputs: ClassVar[bool] = True
    frozen: ClassVar[tuple[str, ...]] = ("model.head",)

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        hidden: Count = 2048,
        out: Count = 2048,
        norm: Literal["batch", "layer"] = "batch",
        crop: float = 0.08,
        flip: bool = True,
        colours: bool = True,
    ):
        super().__init__(model)
        self.weight, self.variance, self.covariance = weight, variance, covariance
        self.crop, self.flip, self.colours = crop, flip, colours
        self.projector = projector(model.n_features, hidden, hidden, out, norm=norm)

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Distance between the two views' projections, and the variance and covariance losses of each."""
        replica = current_replica()
        pair = views.pair(target.inputs, crop=self.crop, flip=self.flip, colours=self.colours, replica=replica)
        z, other = (replica.gather(self.projector(self.model(view).features).float()) for view in pair)
        return {
            "invariance": self.weight * mse_loss(z, other),
            "variance": self.variance * (variance_loss(z) + variance_loss(other)) / 2,
            "covariance": self.covariance * (covariance_loss(z) + covariance_loss(other)),
        }


def variance_loss(z: Tensor) -> Tensor:
    """Mean shortfall of the standard deviations of the columns of ``z (n, d)`` from 1."""
    return (1 - (z.var(0) + 1e-4).sqrt()).relu().mean()


def covariance_loss(z: Tensor) -> Tensor:
    """Sum of the squared covariances between different columns of ``z (n, d)``, divided by ``d``."""
    centred = z - z.mean(0)
    with torch.autocast(z.device.type, enabled=False):
        covariance = centred.T @ centred / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]
