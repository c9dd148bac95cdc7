"""Adversarial discriminative domain adaptation."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from acclimate.methods.base import Method
from acclimate.nn import Classifier, label_loss, mlp, ramp_up
from acclimate.types import Count, Labeled, Losses, Turn, Unlabeled


class ADDA(Method):
    r"""Learn target features that a discriminator, trained in alternation with them, mistakes for the source's.

    Each step has two turns:

    .. math::
        \text{discriminate:} \; \min_{d} \mathrm{BCE}(d(f(x_s)), 1) + \mathrm{BCE}(d(f(x_t)), 0) \qquad
        \text{map:} \; \min_{f, c} L(c(f(x_s)), y_s) + \lambda \, \mathrm{BCE}(d(f(x_t)), 1)

    where :math:`L` is cross entropy for classes and squared error for numbers (`acclimate.nn.label_loss`). The domain
    labels are inverted where DANN reverses the gradient: the aim is the same, but the gradient stays large while the
    discriminator wins. These are the paper's adversarial losses. The training differs: the paper trains an encoder on
    the source, freezes it, and then trains a second one for the target, initialised with its weights. This method
    trains a single encoder for both domains. The label loss keeps it accurate on the source, and
    :math:`\lambda = \text{weight} \cdot (2 / (1 + e^{-\gamma p}) - 1)`, which grows with the progress :math:`p`,
    replaces the paper's first stage.

    When to use:
        Where DANN's discriminator wins so early that its reversed gradient vanishes. It costs a second turn per step
        and, like DANN, needs the same class proportions in both domains.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``; ``n_s`` need not equal ``n_t``.

    Args:
        weight: Final value of :math:`\lambda`.
        gamma: How fast :math:`\lambda` grows.
        widths: Hidden units of the discriminator's layers; two layers of 500 in the paper's digit experiments.
        repeat: Updates of the discriminator per step.

    Reference:
        Tzeng et al., Adversarial Discriminative Domain Adaptation, CVPR 2017. arXiv:1702.05464
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 1.0,
        gamma: float = 10.0,
        widths: Sequence[int] = (500, 500),
        repeat: Count = 1,
    ):
        super().__init__(model)
        self.weight, self.gamma = weight, gamma
        self.discriminator = mlp(model.n_features, *widths, 1)
        self.turns = (Turn("discriminate", ("discriminator",), repeat), Turn("map", ("model",)))

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "map") -> Losses:
        """Losses of one turn."""
        if turn == "discriminate":
            with torch.no_grad():
                out_source, out_target = self.model.both(source.inputs, target.inputs)
            return {"domain": self.domain_loss(out_source.features, 1.0) + self.domain_loss(out_target.features, 0.0)}
        scale = self.weight * ramp_up(progress, self.gamma)
        out_source, out_target = self.model.both(source.inputs, target.inputs)
        inverted = scale * self.domain_loss(out_target.features, 1.0)
        return label_loss(out_source.logits, source.labels) | {"inverted": inverted}

    def domain_loss(self, features: Tensor, domain: float) -> Tensor:
        """The discriminator's cross entropy if all ``features (n, d)`` belong to ``domain``: source 1, target 0."""
        logits: Tensor = self.discriminator(features)
        return binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))
