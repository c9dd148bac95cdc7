"""Joint adaptation network."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from acclimate.distances import joint_mmd
from acclimate.methods.base import Method
from acclimate.nn import Classifier, ramp_up
from acclimate.types import Losses, Outputs


class JAN(Method):
    r"""Learn features and predictions whose joint distribution is the same in both domains.

    .. math::
        \min_{f, c} \; \mathrm{CE}(c(f(x_s)), y_s) + \lambda \, \mathrm{MMD}_k^2\bigl((f, p)_s, (f, p)_t\bigr),
        \qquad
        k\bigl((f, p), (f', p')\bigr) = k_f(f, f') \, k_p(p, p'), \quad p = \mathrm{softmax}(c(f(x)))

    Each factor is a mean of Gaussian kernels whose width is the mean squared distance of its layer in the batch: the
    paper's heuristic, with the mean in place of the median (the authors' code fixes the width for :math:`p`). The
    gradient flows through both layers. :math:`\lambda` grows with the progress as in DANN, because untrained
    predictions pair the wrong examples. The discrepancy is the biased estimate over all pairs
    (`acclimate.distances.joint_mmd`), where the paper uses an unbiased estimate over a few. The paper's adversarial
    variant is not included.

    When to use:
        As DAN, where each class shifts in its own way and predictions on the target are mostly right from the start;
        otherwise it aligns the wrong pairs.

    Shapes: features ``(n_s, d)`` and ``(n_t, d)``, logits ``(n_s, k)`` and ``(n_t, k)``; ``n_s`` need not equal
    ``n_t``.

    Args:
        weight: Final value of :math:`\lambda`; 1 in the paper.
        gamma: How fast :math:`\lambda` grows; 10 in the paper.
        powers: Widths of the kernels relative to the mean squared distance, as powers of two.

    Reference:
        Long et al., Deep Transfer Learning with Joint Adaptation Networks, ICML 2017. arXiv:1605.06636
    """

    whole_batch: ClassVar[bool] = True

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 1.0,
        gamma: float = 10.0,
        powers: Sequence[int] = (-2, -1, 0, 1, 2),
    ):
        super().__init__(model)
        self.weight, self.gamma, self.powers = weight, gamma, powers

    def losses(self, source: Outputs, labels: Tensor, target: Outputs, progress: float) -> Losses:
        """Class loss and joint discrepancy."""
        scale = self.weight * ramp_up(progress, self.gamma)
        joint_source, joint_target = ((of.features, of.logits.softmax(1)) for of in (source, target))
        return {
            "class": cross_entropy(source.logits, labels),
            "joint mmd": scale * joint_mmd(joint_source, joint_target, self.powers),
        }
