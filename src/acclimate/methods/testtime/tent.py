"""Test entropy minimisation."""

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from acclimate.methods.testtime_base import TestTime, batch_norms
from acclimate.nn import Classifier, DomainName
from acclimate.types import Outputs


class Tent(TestTime):
    r"""Become more confident on each batch by changing only the scales and shifts of batch norm.

    .. math::
        \min_{\gamma, \beta} \; \frac{1}{n} \sum_i H(p(x_i)), \qquad
        H(p) = -\sum_c p_c \log p_c

    One step of Adam per batch; batch norm uses the batch's own statistics. The prediction is that of before the step,
    so a batch passes the model once.

    When to use:
        As AdaBN, on long streams in batches of dozens, where the model is mostly right. On a stream of few classes it
        becomes confident of wrong ones; ``most_changed`` bounds the damage.

    Shapes: inputs ``(n, …)``; logits ``(n, k)``. A batch of a few examples is too small for useful statistics.

    Args:
        lr: Learning rate of Adam; the paper's.
        most_changed: Share of a batch whose class may change: the most that accuracy can lose.

    Reference:
        Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021. arXiv:2006.10726
    """

    def __init__(self, model: Classifier, *, lr: NonNegativeFloat = 1e-3, most_changed: float = 0.1):
        super().__init__(model, most_changed=most_changed)
        self.model.requires_grad_(False)
        self.norms = batch_norms(self.model, "tent")
        moved = [p.requires_grad_() for norm in self.norms for p in norm.parameters(recurse=False)]
        self.optimizer = torch.optim.Adam(moved, lr=lr)

    def adapt(self, inputs: Tensor, before: Outputs, domain: DomainName) -> Outputs:
        """Predict with the batch's own statistics, then lower the entropy of the predictions."""
        for norm in self.norms:
            norm.train()
        outputs: Outputs = self.model(inputs, domain)
        torch.autograd.backward([entropy(outputs.logits)])
        self.optimizer.step()
        self.optimizer.zero_grad()
        return outputs


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of ``softmax(logits)``, in nats: a scalar, of ``(n, k)``."""
    log_p = logits.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1).mean()
