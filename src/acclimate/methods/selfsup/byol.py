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
from acclimate.nn.ema import follow
from acclimate.nn.replicas import current_replica
from acclimate.types import Count, Labeled, Losses, Share, Unlabeled


class BYOL(Method):
    r"""Learn features from which one view of an image predicts a slow teacher's projection of another view.

    .. math::
        \min_{f, g, q} \; \frac{1}{n} \sum_i \bigl[ 2 - 2 \cos\bigl(q(z_i), \hat z'_i\bigr) \bigr]
            + \bigl[ 2 - 2 \cos\bigl(q(z'_i), \hat z_i\bigr) \bigr], \qquad
        z = g(f(v)), \quad z' = g(f(v')), \quad \hat z = \hat g(\hat f(v)), \quad \hat z' = \hat g(\hat f(v'))

    :math:`v` and :math:`v'` are two views of the same image, :math:`g` is a projection of the features and :math:`q` a
    predictor; both are discarded after pretraining. The teacher :math:`\hat f, \hat g` receives no gradient; after each
    step its weights become :math:`\tau \hat\theta + (1 - \tau) \theta` with
    :math:`\tau = 1 - (1 - \text{decay}) (\cos \pi p + 1) / 2`, so that it stands still at the end. No labels are used,
    and the model's head is not trained. The paper uses LARS and batches of 4 096; here the optimizer is that of every
    other method, and ``train.accumulate`` enlarges the batch of a step. Batch norm sees one view at a time. With
    several processes, it sees the rows of one process at a time.

    When to use:
        Before adapting to images unlike those the backbone was trained on, if there are thousands of them. Allow many
        steps: a small net trained from scratch on 3 000 digits of MNIST, with the labels of USPS, gained nothing from
        200 steps, and 14 points on average from 3 200, on each of three seeds; ImageNet weights with 1 000 cartoons of
        PACS lost ten points in 50 steps and in 200. Compare with source-only. Switch ``flip`` and ``colours`` off where
        a mirrored or recoloured example would belong to another class.

    Shapes: images ``(n_t, c, h, w)``, features ``(n_t, d)``, projections ``(n_t, out)``.

    Args:
        hidden: Units of the hidden layer of projection and predictor; 4096 in the paper.
        out: Width of the projection; 256 in the paper.
        norm: Normalisation after their hidden layers: ``batch`` as in the paper, or ``layer``, which works with small
            batches.
        decay: How slowly the teacher follows at first; 0.99 in the paper for 300 epochs, 0.996 for 1 000.
        crop: Smallest share of an image's area in a view; 0.08 in the paper.
        flip: Whether views may be mirrored left to right; not for digits.
        colours: Whether views may change colours; not where colour distinguishes the classes.

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
        decay: Share = 0.99,
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
        """Distance of each view's prediction from the teacher's projection of the other view."""
        one, other = views.pair(
            target.inputs, crop=self.crop, flip=self.flip, colours=self.colours, replica=current_replica()
        )
        model, project = self.teacher
        with torch.no_grad():
            of_one, of_other = (project(model(view).features) for view in (one, other))
        predicted, predicted_back = (self.predictor(self.projector(self.model(view).features)) for view in (one, other))
        return {"prediction": distance(predicted, of_other) + distance(predicted_back, of_one)}

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        student = chain(self.model.parameters(), self.projector.parameters())
        follow(self.teacher.parameters(), student, momentum(progress, self.decay))


def distance(predicted: Tensor, projected: Tensor) -> Tensor:
    """Mean of ``2 − 2 cos`` over the rows of two ``(n, d)``: their squared distance at unit length."""
    return (2 - 2 * cosine_similarity(predicted, projected)).mean()


def momentum(progress: float, decay: float) -> float:
    """The teacher's decay: along a cosine from ``decay`` at progress 0 to 1 at progress 1.

    Example:
        >>> momentum(0.0, 0.996), round(momentum(0.5, 0.996), 6), momentum(1.0, 0.996)
        (0.996, 0.998, 1.0)
    """
    return 1 - (1 - decay) * (math.cos(math.pi * progress) + 1) / 2
