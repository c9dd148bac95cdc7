"""Conditional domain-adversarial network."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.methods.base import Method
from acclimate.nn import Classifier, certainty, domain_loss, join, mlp, ramp_up, reverse_grad
from acclimate.types import Count, Losses, Outputs


class CDAN(Method):
    r"""Learn features whose domain a discriminator cannot tell, even when it knows the predicted class.

    .. math::
        \min_{f, c} \max_{d} \; \mathrm{CE}(c(f(x_s)), y_s)
            - \lambda \, \Bigl[\frac{1}{n_s} \sum_i w_i^s \, \mathrm{BCE}(d(h_i^s), 1)
            + \frac{1}{n_t} \sum_j w_j^t \, \mathrm{BCE}(d(h_j^t), 0)\Bigr], \qquad
        h = f \otimes p, \quad w \propto 1 + e^{-H(p)}

    :math:`p` is the softmax of the logits. It is a constant to the gradient, as in the authors' code: the features are
    aligned, and the predictions only condition the alignment. The weights :math:`w` have mean 1 in each domain and
    emphasise examples on which the classifier is confident (CDAN+E in the paper). They are constants too, where the
    authors' code sends the reversed gradient through them. If :math:`d k` is large, a random map of both factors,
    :math:`h = (R_f f) \odot (R_p p) / \sqrt{m}`, replaces the outer product; inner products are the same in
    expectation, and the matrices are drawn once and saved with the weights. :math:`\lambda` grows with the progress as
    in DANN.

    When to use:
        As DANN, with several classes: it aligns them class by class and beats DANN in the paper's tables on
        photographs. It relies on the predictions for the target: where source-only is mostly wrong, so is the
        conditioning.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``, logits ``(n_s, k)`` and ``(n_t, k)``; ``n_s`` need not equal
    ``n_t``.

    Args:
        weight: Final value of :math:`\lambda`.
        gamma: How fast :math:`\lambda` grows; 10 in the paper.
        widths: Hidden units of the discriminator's layers.
        entropy: Whether to weight examples by the classifier's confidence; otherwise all have weight 1.
        largest_product: Largest :math:`d k` for which the outer product is used; 4096 in the paper.
        random_width: :math:`m`, the width of the random map; 1024 in the paper.

    Reference:
        Long et al., Conditional Adversarial Domain Adaptation, NeurIPS 2018. arXiv:1705.10667
    """

    whole_batch: ClassVar[bool] = True
    map_features: Tensor
    map_classes: Tensor

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 1.0,
        gamma: float = 10.0,
        widths: Sequence[int] = (1024, 1024),
        entropy: bool = True,
        largest_product: int = 4096,
        random_width: Count = 1024,
    ):
        super().__init__(model)
        self.weight, self.gamma, self.entropy = weight, gamma, entropy
        product = model.n_features * model.n_classes
        self.random = product > largest_product
        if self.random:
            self.register_buffer("map_features", torch.randn(model.n_features, random_width) / random_width**0.5)
            self.register_buffer("map_classes", torch.randn(model.n_classes, random_width))
        self.discriminator = mlp(random_width if self.random else product, *widths, 1)

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Class loss and conditional domain loss."""
        scale = self.weight * ramp_up(progress, self.gamma)
        features = reverse_grad(join(source.features, target.features), scale)
        p = torch.cat([source.logits, target.logits]).detach().softmax(1)
        logits = self.discriminator(self.condition(features, p))
        sure = torch.cat([certainty(of.logits) for of in (source, target)])[:, None] if self.entropy else None
        return {
            "class": cross_entropy(source.logits, labels),
            "domain": domain_loss(logits, len(source.features), sure),
        }

    def condition(self, features: Tensor, p: Tensor) -> Tensor:
        """Input of the discriminator, ``(n, d·k)`` or ``(n, m)``: products of features and probabilities."""
        if not self.random:
            return (features[:, :, None] * p[:, None, :]).flatten(1)
        return (features @ self.map_features) * (p @ self.map_classes)
