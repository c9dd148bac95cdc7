"""Deep adaptation network."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from acclimate.distances import mmd
from acclimate.methods.base import Method
from acclimate.nn import Classifier, label_loss
from acclimate.types import Losses, Outputs


class DAN(Method):
    r"""Learn layers whose distribution is the same in both domains, as measured by several Gaussian kernels.

    .. math::
        \min_{f, c} \; L(c(f(x_s)), y_s) + \sum_l w_l \, \mathrm{MMD}_k^2(h_l(x_s), h_l(x_t)), \qquad
        k(x, y) = \frac{1}{u} \sum_q e^{-\lVert x - y \rVert^2 / (2^q \gamma)}

    where :math:`L` is cross entropy for classes and squared error for numbers (`acclimate.nn.label_loss`). The kernels
    have equal weights that sum to one, as in the paper's convex combination (code that adds the kernels has :math:`u`
    times this loss); the weights are not learned. :math:`\gamma` is the mean squared distance between two examples of
    the batch. The discrepancy is the biased estimate over all pairs (`acclimate.distances.mmd`), where the paper uses
    an unbiased estimate over a few.

    When to use:
        Where the domains differ in more than their covariance and adversarial training is not wanted. Batches must be
        large enough to represent a distribution, and the domains need similar class proportions.

    Shapes: layers ``(n_s, d_l)`` and ``(n_t, d_l)``; ``n_s`` need not equal ``n_t``.

    Args:
        layers: The layers, each with its weight :math:`w_l`: ``features``, ``logits``, or any named part of the
            backbone (pooled over space). The paper uses the last fully connected layers and the logits.
        weight: Factor on all of them; 1 is in the middle of the paper's range.
        powers: The :math:`u` exponents :math:`q`; −8 to 8 in the paper.

    Reference:
        Long et al., Learning Transferable Features with Deep Adaptation Networks, ICML 2015. arXiv:1502.02791
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})
    whole_batch: ClassVar[bool] = True

    def __init__(
        self,
        model: Classifier,
        *,
        layers: Mapping[str, float] | None = None,
        weight: float = 1.0,
        powers: Sequence[int] = (-2, -1, 0, 1, 2),
    ):
        super().__init__(model)
        self.weight_of = dict(layers or {"features": 1.0})
        self.weight, self.powers = weight, powers
        self.layers = tuple(name for name in self.weight_of if name not in {"features", "logits"})

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Label loss and one discrepancy per layer."""
        source_layers = {**source.layers, "features": source.features, "logits": source.logits}
        target_layers = {**target.layers, "features": target.features, "logits": target.logits}
        return label_loss(source.logits, labels) | {
            f"mmd {name}": self.weight * w * mmd(source_layers[name], target_layers[name], self.powers)
            for name, w in self.weight_of.items()
        }
