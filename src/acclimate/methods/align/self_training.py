"""Self-training: what is sure of a weak view teaches a strong one."""

import math
from functools import partial
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.augment import views
from acclimate.methods.base import Method
from acclimate.nn import Classifier, keeping_statistics
from acclimate.nn.replicas import current_replica, gather
from acclimate.types import Labeled, Losses, Unlabeled


class SelfTraining(Method):
    r"""Learn to give strong views of the target the classes that its weak views are sure to have.

    .. math::
        \min_{f, c} \; \mathrm{CE}(z_s^w, y_s) + \mathrm{CE}(z_s^a, y_s)
            + \frac{\mu}{n_t} \sum_j \bigl[\max_k \tilde p_{jk} \ge \tau\bigr] \, \mathrm{CE}(z_j^a, \hat y_j), \qquad
        \hat y_j = \arg\max_k \tilde p_{jk}

    :math:`z^w = c(f(w(x)))` are logits of a weak view, :math:`z^a` those of a strong one; :math:`\tilde p_j` is the
    softmax of :math:`z_j^w`, a constant to the gradient. That is FixMatch, with what AdaMatch adds for two domains:
    strong views of the source too; a threshold relative to the source,
    :math:`\tau = \text{threshold} \cdot \frac{1}{n_s} \sum_i \max_k p_{ik}^w`; the alignment of distributions,
    :math:`\tilde p_j \propto p_j \, \bar p_s / \bar p_t`, by the batch's mean predictions in the two domains; and
    :math:`\mu`, which opens to ``weight`` in the first half of the training as half a cosine. AdaMatch's random
    interpolation of logits is not in, since batch norm keeps the domains apart here, nor is its soft pseudo-label.
    The alignment asks for classes as frequent in the target as in the source, and does harm where they are not.

    When to use:
        On images and text whose classes come in about the same shares in both domains, where the model is already
        right about part of the target: the best of those tried from MNIST to USPS. Views cost a second pass of the
        model, so a step takes more than twice as long. Be sure that no strong view changes the class.

    Shapes: inputs as `acclimate.augment.views` takes them; logits ``(n_s, k)`` and ``(n_t, k)``, ``n_s`` need not equal
    ``n_t``.

    Args:
        weight: What :math:`\mu` grows to.
        threshold: How sure a prediction on the target must be, as a share of how sure those on the source are.
        alignment: Whether predictions on the target are brought to the source's frequencies of classes.
        weak: Strength of the weak views; 0 leaves the examples as they are.
        strong: Strength of the strong views.
        flip: Whether images may be mirrored left to right; digits and text may not.

    Reference:
        Sohn et al., FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence, NeurIPS 2020.
        arXiv:2001.07685; Berthelot et al., AdaMatch: A Unified Approach to Semi-Supervised Learning and Domain
        Adaptation, ICLR 2022. arXiv:2106.04732
    """

    looks_at_inputs: ClassVar[bool] = True

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 1.0,
        threshold: float = 0.9,
        alignment: bool = True,
        weak: float = 1.0,
        strong: float = 1.0,
        flip: bool = False,
    ):
        super().__init__(model)
        self.weight, self.threshold, self.alignment = weight, threshold, alignment
        self.weak, self.strong, self.flip = weak, strong, flip

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Class losses of both views of the source, and the pseudo-labels' of the target."""
        inputs = source.inputs, target.inputs
        weak = partial(views.weak, strength=self.weak, flip=self.flip, replica=current_replica())
        strong = partial(views.strong, strength=self.strong, flip=self.flip, replica=current_replica())
        out_source, out_target = self.model.both(*map(weak, inputs))
        with keeping_statistics(self.model):
            hard_source, hard_target = self.model.both(*map(strong, inputs))
        p_source, p_target = (gather(of.logits.detach().softmax(1)) for of in (out_source, out_target))
        p = aligned(p_target, p_source) if self.alignment else p_target
        sure, pseudo = p.max(1)
        taught = sure >= self.threshold * p_source.amax(1).mean()
        each = cross_entropy(gather(hard_target.logits), pseudo, reduction="none")
        return {
            "class": cross_entropy(out_source.logits, source.labels),
            "strong views": cross_entropy(hard_source.logits, source.labels),
            "pseudo-labels": self.weight * warm_up(progress) * (each * taught).mean(),
        }


def aligned(p_target: Tensor, p_source: Tensor) -> Tensor:
    """Probabilities ``(n_t, k)`` of the target times how much likelier each class is in ``p_source (n_s, k)``."""
    p = p_target * (p_source.mean(0) / p_target.mean(0).clamp(min=1e-6))
    return p / p.sum(1, keepdim=True)


def warm_up(progress: float) -> float:
    """From 0 to 1 in the first half of the training."""
    return (1 - math.cos(math.pi * min(1.0, 2 * progress))) / 2
