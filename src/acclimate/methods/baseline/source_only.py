"""No adaptation."""

from typing import ClassVar

from torch import Tensor

from acclimate.methods.base import Method
from acclimate.nn import Classifier, label_loss
from acclimate.types import Labeled, Losses, Share, Unlabeled


class SourceOnly(Method):
    r"""Learn from the source alone: the baseline that every adaptation must beat.

    .. math::
        \min_{f, c} \; L(c(f(x_s)), y_s)

    where :math:`L` is cross entropy for classes and squared error for numbers (`acclimate.nn.label_loss`). The target
    is not used; batch norm keeps the source's statistics.

    When to use:
        Always, as the baseline beside every other method. As the final model where the domains hardly differ, where
        only class proportions have changed (see the estimators of label shift), or where no adaptation can be trusted.

    Shapes: logits ``(n_s, k)``, labels ``(n_s,)``.

    Args:
        label_smoothing: Share of each label's weight spread over all classes; not for numbers.

    Reference:
        Empirical risk minimisation; label smoothing after Szegedy et al., Rethinking the Inception
        Architecture for Computer Vision, CVPR 2016. arXiv:1512.00567
    """

    needs: ClassVar[frozenset[str]] = frozenset({"source"})
    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})

    def __init__(self, model: Classifier, *, label_smoothing: Share = 0.0):
        super().__init__(model)
        self.label_smoothing = label_smoothing

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """The label loss on the source."""
        logits: Tensor = self.model(source.inputs, "source").logits
        return label_loss(logits, source.labels, label_smoothing=self.label_smoothing)
