"""Adaptive batch normalisation."""

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from acclimate.methods.testtime_base import TestTime, batch_norms
from acclimate.nn import Classifier, DomainName
from acclimate.types import Outputs


class AdaBN(TestTime):
    r"""Normalise by the statistics of the stream, which gradually replace the source's.

    .. math::
        \mu = \frac{N \mu_s + \sum_{i \le n} x_i}{N + n}, \qquad
        \sigma^2 \text{ likewise, from the variances of the batches}

    over all :math:`n` examples so far, in every batch norm. No weights change.

    When to use:
        On a stream whose contrast, noise or colours differ from the source's, with a net that has batch norm. It is the
        cheapest test-time method, since no weights change. Batches must mix the classes.

    Shapes: inputs ``(n, …)``, any batch size.

    Args:
        prior: :math:`N`, the number of examples that the source's statistics count for; from the second paper.
        most_changed: Share of a batch whose class may change: the most that accuracy can lose.

    Reference:
        Li et al., Revisiting Batch Normalization For Practical Domain Adaptation, 2016. arXiv:1603.04779; with the
        prior of Schneider et al., Improving Robustness Against Common Corruptions by Covariate Shift Adaptation,
        NeurIPS 2020. arXiv:2006.16971
    """

    def __init__(self, model: Classifier, *, prior: NonNegativeInt = 64, most_changed: float = 0.1):
        super().__init__(model, most_changed=most_changed)
        self.prior, self.learnt = prior, 0
        self.norms = batch_norms(self.model, "adabn")

    @torch.no_grad()
    def adapt(self, inputs: Tensor, before: Outputs, domain: DomainName) -> Outputs:
        """Update the statistics with the batch, then predict with them."""
        self.learnt += len(inputs)
        for norm in self.norms:
            norm.train()
            norm.momentum = len(inputs) / (self.prior + self.learnt)
        self.model(inputs, domain)
        self.model.eval()
        outputs: Outputs = self.model(inputs, domain)
        return outputs
