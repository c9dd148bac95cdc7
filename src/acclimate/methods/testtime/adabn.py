"""Adaptive batch normalisation."""

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from acclimate.methods.testtime_base import TestTime, batch_norms
from acclimate.nn import Classifier, DomainName
from acclimate.types import Outputs


class AdaBN(TestTime):
    r"""Normalise by the statistics of the stream, into which the source's fade.

    .. math::
        \mu = \frac{N \mu_s + \sum_{i \le n} x_i}{N + n}, \qquad
        \sigma^2 \text{ alike from the variances of the batches}

    over all :math:`n` examples seen so far, in every batch norm. No weight moves.

    When to use:
        On a stream whose contrast, noise or colours differ from the source's, with a net that has batch norm: the
        cheapest, since no weight moves. The classes must come mixed.

    Shapes: inputs ``(n, …)``, any batch size.

    Args:
        prior: :math:`N`, how many examples the source's statistics count for; the second paper's.
        most_changed: Share of a batch whose class may change: what accuracy can lose at the worst.

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
        """Fold the batch into the statistics, then answer by them."""
        self.learnt += len(inputs)
        for norm in self.norms:
            norm.train()
            norm.momentum = len(inputs) / (self.prior + self.learnt)
        self.model(inputs, domain)
        self.model.eval()
        outputs: Outputs = self.model(inputs, domain)
        return outputs
