"""Margin disparity discrepancy."""

import math

from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.methods.base import Method
from acclimate.nn import Classifier, fresh_copy, join, ramp_up, reverse_grad
from acclimate.types import Losses, Outputs


class MDD(Method):
    r"""Learn features on which a second head that agrees with the first on the source cannot disagree on the target.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) + \lambda \max_{c'} \bigl[
            - \text{margin} \cdot \mathrm{CE}(c'(f(x_s)), \hat y_s)
            + \mathbb{E} \log(1 - p'_{\hat y_t}(f(x_t))) \bigr], \qquad
        \hat y = \arg\max c(f(x))

    The min-max is a single backward pass, with `reverse_grad` between the features and the second head :math:`c'`,
    which itself learns at the full rate. The labels :math:`\hat y` it is trained on are constants. :math:`\lambda`
    grows with the progress as in DANN, to 0.1 as in the authors' code. The margin is the factor that the paper writes
    as :math:`\gamma = e^\rho` for a margin :math:`\rho`. The trained model predicts with the first head.

    When to use:
        As MCD, in one pass and with many classes, as in the paper's tables on photographs, for which its weight and
        margin were chosen.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``, logits ``(n_s, k)`` and ``(n_t, k)`` with ``k ≥ 2``; ``n_s``
    need not equal ``n_t``.

    Args:
        weight: Final value of :math:`\lambda`.
        gamma: How fast :math:`\lambda` grows.
        margin: Weight of agreement on the source relative to disagreement on the target; 2 to 4 in the paper.

    Reference:
        Zhang et al., Bridging Theory and Algorithm for Domain Adaptation, ICML 2019. arXiv:1904.05801
    """

    def __init__(self, model: Classifier, *, weight: float = 0.1, gamma: float = 10.0, margin: float = 4.0):
        super().__init__(model)
        self.weight, self.gamma, self.margin = weight, gamma, margin
        self.second_head = fresh_copy(model.head)

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Class loss and the two sides of the disparity."""
        scale = self.weight * ramp_up(progress, self.gamma)
        features = reverse_grad(join(source.features, target.features), scale)
        second_source, second_target = self.second_head(features).split([len(source.features), len(target.features)])
        return {
            "class": cross_entropy(source.logits, labels),
            "agree": self.margin * cross_entropy(second_source, source.logits.argmax(1)),
            "disagree": not_cross_entropy(second_target, target.logits.argmax(1)),
        }


def not_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of ``−log(1 − p_label)`` for ``logits (n, k)``; finite even where the label is certain."""
    others = logits.scatter(1, labels[:, None], -math.inf)
    return (logits.logsumexp(1) - others.logsumexp(1)).mean()
