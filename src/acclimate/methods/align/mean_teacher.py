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
from acclimate.nn.replicas import current_replica, gather
from acclimate.types import Labeled, Losses, Unlabeled


class MeanTeacher(Method):
    r"""Learn to see the target as a teacher does, whose weights are a running mean of one's own.

    .. math::
        \min_{f, c} \; \mathrm{CE}(z_s, y_s) + \text{weight} \cdot \Bigl[
            \frac{1}{n_t} \sum_j m_j \, \frac{1}{k} \lVert p_j - q_j \rVert^2
            + \text{balance} \cdot \bar m \sum_k \mathrm{BCE}\bigl(\bar p_k, \tfrac{1}{k}\bigr) \Bigr], \qquad
        m_j = \bigl[\max_k q_{jk} > \text{confidence}\bigr]

    :math:`q_j` is the teacher's softmax for a weak view of an example, :math:`p_j` the student's for another view.
    After each step the teacher's weights become :math:`\text{decay} \cdot \theta' + (1 - \text{decay}) \, \theta`;
    no gradient reaches it. The student predicts afterwards: with a rate that goes to nothing the two meet. The loss
    of balance asks for a mean prediction :math:`\bar p` that is uniform, and does harm where the classes are not.
    Loss, confidence and balance are those of self-ensembling for domain adaptation; there student and teacher
    look at views of the same strength, here the student at strong ones.

    When to use:
        As self-training, where its threshold lets through too much: the teacher's mean over steps errs less than one
        step's weights. It starts slowly, since the teacher must be sure first; give it thousands of steps. What is
        said here of sureness rests on the papers, of slowness on one look at digits.

    Shapes: inputs as `acclimate.augment.views` takes them; logits ``(n_s, k)`` and ``(n_t, k)``.

    Args:
        weight: Trade-off with the class loss; 3 for domain adaptation.
        decay: How slowly the teacher follows; 0.99 for domain adaptation.
        confidence: What the teacher must be surer of than; 0.968 for domain adaptation.
        balance: Of the class balance within ``weight``; 0.005 for domain adaptation.
        weak: Strength of the views of the source and of the teacher's; 0 leaves the examples as they are.
        strong: Strength of the student's views of the target.
        flip: Whether images may be mirrored left to right; digits and text may not.

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
        decay: float = 0.99,
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
        """Class loss, distance to the sure ones of the teacher's predictions, and class balance."""
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

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Have the teacher follow the student."""
        for its, mine in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
            its.lerp_(mine, 1 - self.decay)


def imbalance(p: Tensor) -> Tensor:
    """Binary cross entropy between the mean of ``p (n, k)`` and the uniform distribution, summed over the classes."""
    mean = p.mean(0).clamp(max=1.0).float()  # a sum of rounded shares may exceed 1
    with torch.autocast(mean.device.type, enabled=False):
        return binary_cross_entropy(mean, torch.full_like(mean, 1 / len(mean)), reduction="sum")
