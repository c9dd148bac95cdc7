"""Deep correlation alignment."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from acclimate.distances import coral
from acclimate.methods.base import Method
from acclimate.nn import Classifier, label_loss
from acclimate.types import Losses, Outputs


class DeepCORAL(Method):
    r"""Learn layers whose covariance is the same in both domains.

    .. math::
        \min_{f, c} \; L(c(f(x_s)), y_s)
            + \sum_l \frac{w_l}{4 d_l^2} \lVert \mathrm{cov}(h_l(x_s)) - \mathrm{cov}(h_l(x_t)) \rVert_F^2

    where :math:`L` is cross entropy for classes and squared error for numbers (`acclimate.nn.label_loss`). Only second
    moments are aligned, at the paper's scale; the means are free. The covariance is that of the batch, so small batches
    (``n < d``) make it noisy.

    When to use:
        As a reliable first choice with nothing else to train, where features differ in scale and correlation: better
        than source-only on all pairs of digits, the best on none. The loss is small by its scale, so the weight may
        have to vary by orders of magnitude; compare the loss with the class loss.

    Shapes: layers ``(n_s, d_l)`` and ``(n_t, d_l)`` with ``n_s, n_t ≥ 2``; ``n_s`` need not equal ``n_t``.

    Args:
        layers: The layers, each with its weight :math:`w_l`: ``features``, ``logits``, or any named part of the
            backbone (pooled over space). The paper uses the logits, with a weight that makes this loss and the label
            loss about equal at the end of training.
        weight: Factor on all of them.

    Reference:
        Sun & Saenko, Deep CORAL: Correlation Alignment for Deep Domain Adaptation, ECCV 2016 Workshops.
        arXiv:1607.01719
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})
    whole_batch: ClassVar[bool] = True

    def __init__(self, model: Classifier, *, layers: Mapping[str, float] | None = None, weight: float = 1.0):
        super().__init__(model)
        self.weight_of = dict(layers or {"features": 1.0})
        self.weight = weight
        self.layers = tuple(name for name in self.weight_of if name not in {"features", "logits"})

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Label loss and one CORAL loss per layer."""
        source_layers = {**source.layers, "features": source.features, "logits": source.logits}
        target_layers = {**target.layers, "features": target.features, "logits": target.logits}
        return label_loss(source.logits, labels) | {
            f"coral {name}": self.weight * w * coral(source_layers[name], target_layers[name])
            for name, w in self.weight_of.items()
        }
