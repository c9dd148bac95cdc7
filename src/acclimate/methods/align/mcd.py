"""Maximum classifier discrepancy."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.methods.base import Method
from acclimate.nn import Classifier, fresh_copy
from acclimate.types import Count, Labeled, Losses, Turn, Unlabeled


class MCD(Method):
    r"""Two heads find target examples far from the source, where they disagree; the backbone learns to make them agree.

    Each step has three turns, with
    :math:`L = \mathrm{CE}(c_1(f(x_s)), y_s) + \mathrm{CE}(c_2(f(x_s)), y_s)` and
    :math:`D = \frac{1}{n k} \sum_{i, j} | p_1(j \mid x_i) - p_2(j \mid x_i) |` on the target:

    .. math::
        \text{classify:} \; \min_{f, c_1, c_2} L \qquad
        \text{disagree:} \; \min_{c_1, c_2} L - \text{weight} \cdot D \qquad
        \text{agree:} \; \min_{f} \text{weight} \cdot D \;\; (\text{repeat times})

    The trained model predicts with the first head.

    When to use:
        Where aligning whole domains would mix neighbouring classes, and a step may cost several times as much. It
        learns nothing from heads that agree on a wrong class.

    Shapes: features ``(n_s, d)``, ``(n_t, d)``; ``n_s`` need not equal ``n_t``.

    Args:
        weight: Weight of the discrepancy.
        repeat: Updates of the backbone per step in the last turn; 4 in the paper's digit experiments.

    Reference:
        Saito et al., Maximum Classifier Discrepancy for Unsupervised Domain Adaptation, CVPR 2018.
        arXiv:1712.02560
    """

    def __init__(self, model: Classifier, *, weight: float = 1.0, repeat: Count = 4):
        super().__init__(model)
        self.weight = weight
        self.second_head = fresh_copy(model.head)
        heads = ("model.head", "second_head")
        self.turns = (
            Turn("classify", ("model.backbone", *heads)),
            Turn("disagree", heads),
            Turn("agree", ("model.backbone",), repeat),
        )

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "classify") -> Losses:
        """Losses of one turn."""
        if turn == "agree":
            return {"discrepancy": self.weight * self.discrepancy(self.model(target.inputs, "target").features)}
        if turn == "classify":
            return {"class": self.class_loss(self.model(source.inputs, "source").features, source.labels)}
        out_source, out_target = self.model.both(source.inputs, target.inputs)
        return {
            "class": self.class_loss(out_source.features, source.labels),
            "discrepancy": -self.weight * self.discrepancy(out_target.features),
        }

    def class_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Sum of both heads' cross entropies."""
        return cross_entropy(self.model.head(features), labels) + cross_entropy(self.second_head(features), labels)

    def discrepancy(self, features: Tensor) -> Tensor:
        """Mean absolute difference between the two heads' probabilities."""
        first: Tensor = self.model.head(features).softmax(1)
        second: Tensor = self.second_head(features).softmax(1)
        return (first - second).abs().mean()
