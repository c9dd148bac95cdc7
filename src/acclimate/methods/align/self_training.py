"""Self-training: confident predictions on weak views are labels for strong views."""

from functools import partial
from typing import ClassVar

from torch.nn.functional import cross_entropy

from acclimate.augment import views
from acclimate.methods.base import Method
from acclimate.nn import Classifier, aligned, keeping_statistics, warm_up
from acclimate.nn.replicas import current_replica, gather
from acclimate.types import Labeled, Losses, Unlabeled


class SelfTraining(Method):
    r"""Learn to predict, for strong views of the target, the classes predicted with confidence for weak views.

    .. math::
        \min_{f, c} \; \mathrm{CE}(z_s^w, y_s) + \mathrm{CE}(z_s^a, y_s)
            + \frac{\mu}{n_t} \sum_j \bigl[\max_k \tilde p_{jk} \ge \tau\bigr] \, \mathrm{CE}(z_j^a, \hat y_j), \qquad
        \hat y_j = \arg\max_k \tilde p_{jk}

    :math:`z^w = c(f(w(x)))` are the logits of a weak view, :math:`z^a` those of a strong one; :math:`\tilde p_j` is the
    softmax of :math:`z_j^w`, a constant to the gradient. This is FixMatch with the additions of AdaMatch for two
    domains: strong views of the source too; a threshold relative to the source,
    :math:`\tau = \text{threshold} \cdot \frac{1}{n_s} \sum_i \max_k p_{ik}^w`; distribution alignment,
    :math:`\tilde p_j \propto p_j \, \bar p_s / \bar p_t`, by the batch's mean predictions in the two domains; and
    :math:`\mu`, which grows to ``weight`` in the first half of training along half a cosine. AdaMatch's random
    interpolation of logits is not included, because batch norm keeps the domains apart in this package, and neither is
    its soft pseudo-label. The alignment assumes the same class proportions in both domains, and does harm where they
    differ.

    When to use:
        On images and text whose class proportions are similar in both domains, where the model is already right on part
        of the target: the best of the methods tried from MNIST to USPS. Views cost a second pass of the model, so a
        step takes more than twice as long. Make sure that no strong view changes the class.

    Shapes: inputs as for `acclimate.augment.views`; logits ``(n_s, k)`` and ``(n_t, k)``, ``n_s`` need not equal
    ``n_t``.

    Args:
        weight: Final value of :math:`\mu`.
        threshold: Confidence that a target prediction needs, relative to the mean confidence on the source.
        alignment: Whether to align the target's predictions with the source's class proportions.
        weak: Strength of the weak views; 0 leaves the examples unchanged.
        strong: Strength of the strong views.
        flip: Whether views may mirror images left to right; not for digits or text.

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
        """Class losses of both views of the source, and the loss of the target's pseudo-labels."""
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
