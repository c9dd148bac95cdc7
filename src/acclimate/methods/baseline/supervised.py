"""Training on the target's labels."""

from typing import ClassVar

from torch import Tensor

from acclimate.methods.base import Method
from acclimate.nn import Classifier, label_loss
from acclimate.types import Labeled, Losses, Share, Unlabeled


class Supervised(Method):
    r"""Learn from labels of the target, which adaptation does without: the train-on-target row of a benchmark.

    .. math::
        \min_{f, c} \; L(c(f(x_t)), y_t)

    where :math:`L` is cross entropy for classes and squared error for numbers (`acclimate.nn.label_loss`). It needs an
    explicitly labelled target (``--target-labels``), which takes the place of the source; the source is not used. With
    a small target this is not an upper bound.

    When to use:
        Where the target has labels, to see how much there is to gain. It is the upper row of a table, not an
        adaptation.

    Shapes: logits ``(n, k)``, labels ``(n,)``, both of the labelled target.

    Args:
        label_smoothing: Share of each label's weight spread over all classes; not for numbers.

    Reference:
        The "train on target" row of Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016.
        arXiv:1505.07818
    """

    needs: ClassVar[frozenset[str]] = frozenset({"target_labels"})
    tasks: ClassVar[frozenset[str]] = frozenset({"classification", "regression"})

    def __init__(self, model: Classifier, *, label_smoothing: Share = 0.0):
        super().__init__(model)
        self.label_smoothing = label_smoothing

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """The label loss on the labelled target, which arrives as ``source``."""
        logits: Tensor = self.model(source.inputs, "target").logits
        return label_loss(logits, source.labels, label_smoothing=self.label_smoothing)
