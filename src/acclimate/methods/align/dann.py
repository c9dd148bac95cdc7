"""Domain-adversarial neural network."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from acclimate.methods.base import Method
from acclimate.nn import Classifier, domain_loss, join, label_loss, mlp, ramp_up, reverse_grad
from acclimate.types import Losses, Outputs


class DANN(Method):
    r"""Learn features from which a discriminator cannot tell the domain.

    .. math::
        \min_{f, c} \max_{d} \; L(c(f(x_s)), y_s)
            - \lambda \, [\mathrm{BCE}(d(f(x_s)), 1) + \mathrm{BCE}(d(f(x_t)), 0)]

    where :math:`L` is cross entropy for classes and squared error for numbers (`acclimate.nn.label_loss`). The min-max
    is a single backward pass: `reverse_grad` stands between features and discriminator.
    :math:`\lambda = \text{weight} \cdot (2 / (1 + e^{-\gamma p}) - 1)` grows with the progress :math:`p \in [0, 1]`,
    because an untrained discriminator contributes only noise.

    When to use:
        Where the domains look different, their class proportions are similar, and there are thousands of steps to
        train: the best of the methods tried from MNIST to MNIST-M. It aligns whole domains, so it does harm where class
        proportions differ. Adversarial training is unstable: run several seeds.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``; ``n_s`` need not equal ``n_t``.

    Args:
        weight: Final value of :math:`\lambda`.
        gamma: How fast :math:`\lambda` grows; 10 in the paper.
        widths: Hidden units of the discriminator's layers; one layer of 100 in the paper's MNIST experiments.

    Reference:
        Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016. arXiv:1505.07818
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})

    def __init__(
        self, model: Classifier, *, weight: float = 1.0, gamma: float = 10.0, widths: Sequence[int] = (1024, 1024)
    ):
        super().__init__(model)
        self.weight, self.gamma = weight, gamma
        self.discriminator = mlp(model.n_features, *widths, 1)

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Label loss and domain loss."""
        scale = self.weight * ramp_up(progress, self.gamma)
        features = reverse_grad(join(source.features, target.features), scale)
        return label_loss(source.logits, labels) | {
            "domain": domain_loss(self.discriminator(features), len(source.features))
        }
