"""One model that learns what several predict together."""

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div

from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.types import Labeled, Losses, Outputs, Unlabeled


class Student(Method):
    r"""Learn on the unlabelled target to predict what a teacher predicts, such as an ensemble of adapted models.

    .. math:: \min_{f, c} \; \frac{1}{n} \sum_i \mathrm{KL}\bigl(q(x_i) \,\|\, p(x_i)\bigr)

    The teacher's probabilities :math:`q` are taken of the same batch, at a temperature of 1. It starts from the
    source-only model, trained with a label smoothing of 0.1 as for SHOT, and uses no source example. A student of an
    ensemble predicts in the time of one model.

    Shapes: logits ``(n_t, k)`` of model and teacher.

    Args:
        model: The student.
        teacher: A model of the same inputs and classes, e.g. `acclimate.nn.Ensemble`; it is not trained.

    Reference:
        Hinton et al., Distilling the Knowledge in a Neural Network, 2015. arXiv:1503.02531
    """

    needs: ClassVar[frozenset[str]] = frozenset({"target"})
    starts_from: ClassVar[str] = "source_only"
    start_options: ClassVar[Mapping[str, float]] = {"label_smoothing": 0.1}
    frozen: ClassVar[tuple[str, ...]] = ("teacher",)

    def __init__(self, model: Classifier, *, teacher: nn.Module):
        super().__init__(model)
        self.teacher = teacher

    def train(self, mode: bool = True) -> Self:
        """Set the student's mode; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """The divergence of the student's probabilities from the teacher's."""
        out: Outputs = self.model(target.inputs, "target")
        with torch.no_grad():
            wanted: Tensor = self.teacher(target.inputs, "target").logits.log_softmax(1)
        given = out.logits.log_softmax(1)
        return {"distillation": kl_div(given, wanted, reduction="batchmean", log_target=True)}
