"""Bootstrap your own latent."""

import copy
import math
from itertools import chain
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from acclimate.augment import views
from acclimate.methods.base import Method
from acclimate.nn import Classifier, projector
from acclimate.nn.replicas import current_replica
from acclimate.types import Count, Labeled, Losses, Unlabeled


class BYOL(Method):
    r"""Learn features by which one view of an image foretells what a slow teacher makes of another view of it.

    .. math::
        \min_{f, g, q} \; \frac{1}{n} \sum_i \bigl[ 2 - 2 \cos\bigl(q(z_i), \hat z'_i\bigr) \bigr]
            + \bigl[ 2 - 2 \cos\bigl(q(z'_i), \hat z_i\bigr) \bigr], \qquad
        z = g(f(v)), \quad z' = g(f(v')), \quad \hat z = \hat g(\hat f(v)), \quad \hat z' = \hat g(\hat f(v'))

    :math:`v` and :math:`v'` are two views of the same image, :math:`g` a projection of the features and :math:`q` a
    predictor, both of which are thrown away when the features are learnt. No gradient reaches the teacher
    :math:`\hat f, \hat g`; after each step its weights become :math:`\tau \hat\theta + (1 - \tau) \theta` with
    :math:`\tau = 1 - (1 - \text{decay}) (\cos \pi p + 1) / 2`, so that at the end it stands still. No label is looked
    at, and the model's head stands still. The paper moves the weights by LARS in batches of 4 096; here they move as
    all others do, and ``train.accumulate`` makes the batches of a step more. Batch norm sees one view at a time. With
    several processes batch norm takes the statistics of each one's part of the batch.

    When to use:
        Before the adaptation to images that look unlike those the backbone was trained on, where there are thousands
        of them. Give it many steps: a small net from nothing with 3 000 digits of MNIST and USPS's labels was no
        better after 200, and after 3 200 on each of three seeds, by 14 points in the mean; ImageNet's weights with
        1 000 cartoons of PACS lost ten points in 50 steps and in 200. Look at the source-only line beside it.
        Switch ``flip`` and ``colours`` off where a mirrored or recoloured example would be another thing.

    Shapes: images ``(n_t, c, h, w)``, features ``(n_t, d)``, projections ``(n_t, out)``.

    Args:
        hidden: Units of the hidden layer of projection and predictor; 4096 in the paper.
        out: Width of the projection; 256 in the paper.
        norm: Behind their hidden layers: ``batch`` as in the paper, or ``layer``, which small batches do not disturb.
        decay: How slowly the teacher follows at first; 0.99 in the paper for 300 epochs, 0.996 for 1 000.
        crop: The least share of an image's area in a view; 0.08 in the paper.
        flip: Whether views may be mirrored left to right; digits may not.
        colours: Whether views may change tones; where colour tells the classes apart they may not.

    Reference:
        Grill et al., Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning, NeurIPS 2020.
        arXiv:2006.07733
    """

    needs: ClassVar[frozenset[str]] = frozenset({"target"})
    tasks: ClassVar[frozenset[str]] = frozenset()
    looks_at_inputs: ClassVar[bool] = True
    frozen: ClassVar[tuple[str, ...]] = ("model.head",)

    def __init__(
        self,
        model: Classifier,
        *,
        hidden: Count = 4096,
        out: Count = 256,
        norm: Literal["batch", "layer"] = "batch",
        decay: float = 0.99,
        crop: float = 0.08,
        flip: bool = True,
        colours: bool = True,
    ):
        super().__init__(model)
        self.decay, self.crop, self.flip, self.colours = decay, crop, flip, colours
        self.projector = projector(model.n_features, hidden, out, norm=norm)
        self.predictor = projector(out, hidden, out, norm=norm)
        self.teacher = copy.deepcopy(nn.ModuleList([model, self.projector])).requires_grad_(False)

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """How far the predictions of both views are from the teacher's projections of the other."""
        one, other = views.pair(
            target.inputs, crop=self.crop, flip=self.flip, colours=self.colours, replica=current_replica()
        )
        model, project = self.teacher
        with torch.no_grad():
            of_one, of_other = (project(model(view).features) for view in (one, other))
        foretold, back = (self.predictor(self.projector(self.model(view).features)) for view in (one, other))
        return {"prediction": distance(foretold, of_other) + distance(back, of_one)}

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Have the teacher follow."""
        mine = chain(self.model.parameters(), self.projector.parameters())
        for its, weight in zip(self.teacher.parameters(), mine, strict=True):
            its.lerp_(weight, 1 - momentum(progress, self.decay))


def distance(predicted: Tensor, projected: Tensor) -> Tensor:
    """Mean of ``2 − 2 cos`` over the rows of two ``(n, d)``: the squared distance of what they are at unit length."""
    return (2 - 2 * cosine_similarity(predicted, projected)).mean()


def momentum(progress: float, decay: float) -> float:
    """How much of itself the teacher keeps: from ``decay`` at progress 0 along a cosine to 1 at progress 1.

    Example:
        >>> momentum(0.0, 0.996), round(momentum(0.5, 0.996), 6), momentum(1.0, 0.996)
        (0.996, 0.998, 1.0)
    """
    return 1 - (1 - decay) * (math.cos(math.pi * progress) + 1) / 2
