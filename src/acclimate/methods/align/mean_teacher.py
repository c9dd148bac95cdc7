"""Mean teacher."""

import copy
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, cross_entropy

from acclimate.augment import views
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.nn.ema import follow
from acclimate.nn.replicas import current_replica, gather
from acclimate.types import Labeled, Losses, Share, Unlabeled


class MeanTeacher(Method):
    r"""Learn to predict on the target as a teacher does, whose weights are a moving average of the student's.

    .. math::
        \min_{f, c} \; \mathrm{CE}(z_s, y_s) + \text{weight} \cdot \Bigl[
            \frac{1}{n_t} \sum_j m_j \, \frac{1}{k} \lVert p_j - q_j \rVert^2
            + \text{balance} \cdot \bar m \sum_k \mathrm{BCE}\bigl(\bar p_k, \tfrac{1}{k}\bigr) \Bigr], \qquad
        m_j = \bigl[\max_k q_{jk} > \text{confidence}\bigr]

    :math:`q_j` is the teacher's softmax for a weak view of an example, :math:`p_j` the student's for another view.
    After each step the teacher's weights become :math:`\text{decay} \cdot \theta' + (1 - \text{decay}) \, \theta`; they
    receive no gradient. The student predicts after training; as the learning rate decays to zero, the two converge. The
    balance loss pulls the mean prediction :math:`\bar p` towards uniform, and does harm where classes are not equally
    frequent. Loss, confidence and balance are those of self-ensembling for domain adaptation. There, student and
    teacher see views of the same strength; here, the student sees strong ones.

    When to use:
        As self-training, where its threshold accepts too many wrong labels: the teacher, an average over steps, makes
        fewer errors than a single step's weights. It starts slowly, since the teacher must become confident first, so
        allow thousands of steps. The claim about errors is the papers'; the one about slowness comes from a single
        experiment with digits.

    Shapes: inputs as for `acclimate.augment.views`; logits ``(n_s, k)`` and ``(n_t, k)``.

    Args:
        weight: Trade-off with the class loss; 3 for domain adaptation.
        decay: How slowly the teacher follows; 0.99 for domain adaptation.
        confidence: Probability that the teacher must exceed for an example to count; 0.968 for domain adaptation.
        balance: Weight of the class balance, within ``weight``; 0.005 for domain adaptation.
        weak: Strength of the views of the source and of the teacher's views; 0 leaves the examples unchanged.
        strong: Strength of the student's views of the target.
        flip: Whether views may mirror images left to right; not for digits or text.

    Reference:
        Tarvainen and Valpola, Mean Teachers Are Better Role Models, NeurIPS 2017. arXiv:1703.01780; for domain
        adaptation French et al., Self-Ensembling for Visual Domain Adaptation, ICLR 2018. arXiv:1706.05208
    """

    looks_at_inputs: ClassVar[bool] = True

    def __init__(
        self,
        model: Classifier,
        *,
        weight: float = 3.0,
        decay: Share = 0.99,
        confidence: float = 0.968,
        balance: float = 0.005,
        weak: float = 1.0,
        strong: float = 1.0,
        flip: bool = False,
    ):
        super().__init__(model)
        self.weight, self.decay, self.confidence, self.balance = weight, decay, confidence, balance
        self.weak, self.strong, self.flip = weak, strong, flip
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Class loss, distance to the teacher's confident predictions, and class balance."""
        weak = partial(views.weak, strength=self.weak, flip=self.flip, replica=current_replica())
        strong = partial(views.strong, strength=self.strong, flip=self.flip, replica=current_replica())
        out_source, out_target = self.model.both(weak(source.inputs), strong(target.inputs))
        with torch.no_grad():
            q = gather(self.teacher(weak(target.inputs)).logits.softmax(1))
        p, sure = gather(out_target.logits.softmax(1)), (q.amax(1) > self.confidence).to(q)
        return {
            "class": cross_entropy(out_source.logits, source.labels),
            "consistency": self.weight * ((p - q).square().mean(1) * sure).mean(),
            "balance": self.weight * self.balance * sure.mean() * imbalance(p),
        }

    def after_step(self, progress: float) -> None:
        """Move the teacher towards the student."""
        follow(self.teacher.parameters(), self.model.parameters(), self.decay)


def imbalance(p: Tensor) -> Tensor:
    """Binary cross entropy between the mean of ``p (n, k)`` and the uniform distribution, summed over classes."""
    mean = p.mean(0).clamp(max=1.0).float()  # rounding can take a mean above 1
    with torch.autocast(mean.device.type, enabled=False):
        return binary_cross_entropy(mean, torch.full_like(mean, 1 / len(mean)), reduction="sum")
