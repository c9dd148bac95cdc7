"""AdaMatch: pseudo-labels on weak views, aligned with the source, teach strong views of both domains."""

import copy
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.augment import views
from acclimate.methods.base import Method
from acclimate.nn import Classifier, aligned, join, keeping_statistics, warm_up
from acclimate.nn.ema import follow
from acclimate.nn.replicas import current_replica, gather
from acclimate.types import Labeled, Losses, Share, Unlabeled


class AdaMatch(Method):
    r"""Learn confident predictions for weak views of the target as soft labels of strong views.

    .. math::
        \min_{f, c} \; \mathrm{CE}(\hat z_s^w, y_s) + \mathrm{CE}(\hat z_s^a, y_s)
            + \frac{\mu}{n_t} \sum_j \bigl[\max_k \tilde p_{jk} \ge \tau\bigr] \, \mathrm{CE}(z_j^a, \tilde p_j), \qquad
        \hat z_s = \lambda \odot z'_s + (1 - \lambda) \odot z''_s, \quad \lambda \sim U(0, 1)^{n_s \times k}

    :math:`z^w` are the logits of a weak view, :math:`z^a` those of a strong one. Of the source, :math:`z'_s` are those
    of a batch with the target, :math:`z''_s` those of a batch without it: batch norm makes them differ, and their
    *random interpolation* makes all points between agree on the class. *Distribution alignment* multiplies the target's
    predictions by the ratio of the batches' means, :math:`\tilde p_j \propto p_j \, \bar p_s / \bar p_t`. The
    *relative threshold* is :math:`\tau = \text{threshold} \cdot \frac{1}{n_s} \sum_i \max_k \hat p_{ik}^w`;
    :math:`\mu` grows to ``weight`` in the first half of training along half a cosine. No gradient flows through
    :math:`\tilde p` and :math:`\tau`. The model that predicts after training is a moving average of the weights.

    Batch norm keeps one set of statistics for both domains, unless ``train.batch_norm`` says otherwise; with separate
    ones, or without batch norm, interpolation changes nothing. The paper draws two strong operations of another set
    (CTAugment). Labelled examples of the target count as the source's, as in the paper's semi-supervised setting.

    When to use:
        On images with similar class shares in both domains, if there is time for many steps: it has the best published
        accuracies on digits from scratch. A step takes about three times as long as one without views. Make sure that
        no strong view changes the class.

    Shapes: inputs as for `acclimate.augment.views`; logits ``(n_s, k)`` and ``(n_t, k)``, ``n_s`` need not equal
    ``n_t``.

    Args:
        weight: Final value of :math:`\mu`.
        threshold: Confidence that a target prediction needs, relative to the mean confidence on the source.
        decay: How slowly the average follows the weights; 0 predicts with the weights themselves. The paper has 0.999
            for hundreds of thousands of steps; of a few hundred, that would leave the initial weights in place.
        weak: Strength of the weak views; 0 leaves the examples unchanged.
        strong: Strength of the strong views.
        flip: Whether views may mirror images left to right; not for digits or text.

    Reference:
        Berthelot et al., AdaMatch: A Unified Approach to Semi-Supervised Learning and Domain Adaptation, ICLR 2022.
        arXiv:2106.04732
    """

    looks_at_inputs: ClassVar[bool] = True
    batch_norm: ClassVar[str] = "concat"

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 1.0,
        threshold: float = 0.9,
        decay: Share = 0.99,
        weak: float = 1.0,
        strong: float = 1.0,
        flip: bool = False,
    ):
        super().__init__(model)
        self.weight, self.threshold, self.decay = weight, threshold, decay
        self.weak, self.strong, self.flip = weak, strong, flip
        self.average = copy.deepcopy(model).requires_grad_(False)

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Class losses of both views of the source, and the loss of the target's pseudo-labels."""
        weak = partial(views.weak, strength=self.weak, flip=self.flip, replica=current_replica())
        strong = partial(views.strong, strength=self.strong, flip=self.flip, replica=current_replica())
        of_source, of_target = (join(weak(x), strong(x)) for x in (source.inputs, target.inputs))
        together, out_target = self.model.both(of_source, of_target)
        with keeping_statistics(self.model):
            alone = self.model(of_source, "source")
        easy, hard = interpolated(alone.logits, together.logits).chunk(2)
        target_easy, target_hard = out_target.logits.chunk(2)
        p_source, p_target = (gather(z.detach().softmax(1)) for z in (easy, target_easy))
        pseudo = aligned(p_target, p_source)
        taught = pseudo.amax(1) >= self.threshold * p_source.amax(1).mean()
        each = cross_entropy(gather(target_hard), pseudo, reduction="none")
        return {
            "class": cross_entropy(easy, source.labels),
            "strong views": cross_entropy(hard, source.labels),
            "pseudo-labels": self.weight * warm_up(progress) * (each * taught).mean(),
        }

    def after_step(self, progress: float) -> None:
        """Move the average towards the weights."""
        follow(self.average.parameters(), self.model.parameters(), self.decay)

    def after_training(self) -> None:
        """Predict with the average."""
        with torch.no_grad():
            for weight, average in zip(self.model.parameters(), self.average.parameters(), strict=True):
                weight.copy_(average)


def interpolated(first: Tensor, second: Tensor) -> Tensor:
    """Random points between two sets of logits ``(n, k)``, each number with its own uniform draw."""
    drawn = current_replica().uniform(first, first.shape[1])
    return first + drawn.to(first.dtype) * (second - first)
