"""Laplacian adjusted maximum-likelihood estimation."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from acclimate.methods.testtime_base import TestTime
from acclimate.nn import Classifier, DomainName
from acclimate.types import Count, Outputs


class LAME(TestTime):
    r"""Let the examples of a batch that look alike agree; the model itself stays as it is.

    .. math::
        \min_{z} \; \sum_i \mathrm{KL}(z_i \,\Vert\, p_i) - \sum_{i, j} w_{ij} z_i^\top z_j, \qquad
        z_i \leftarrow \mathrm{softmax}\Bigl(\log p_i + \sum_j w_{ij} z_j\Bigr)

    with :math:`w_{ij} = 1` where :math:`j` is one of the ``neighbours`` of :math:`i` by the cosine of their features
    or the other way round, halved if only one is. The update is repeated until nothing moves.

    When to use:
        On a stream whose neighbours are of one class, as frames of a video are, or with a net without batch norm. It
        mends single answers by those of their likes; where a whole region is wrong, it stays so.

    Shapes: features ``(n, d)``, logits ``(n, k)``.

    Args:
        neighbours: Of each example; 5 in the paper's vision experiments.
        rounds: Most updates.
        most_changed: Share of a batch whose class may change: what accuracy can lose at the worst.

    Reference:
        Boudiaf et al., Parameter-Free Online Test-Time Adaptation, CVPR 2022. arXiv:2201.05718
    """

    def __init__(self, model: Classifier, *, neighbours: Count = 5, rounds: Count = 100, most_changed: float = 0.1):
        super().__init__(model, most_changed=most_changed)
        self.neighbours, self.rounds = neighbours, rounds

    @torch.no_grad()
    def adapt(self, inputs: Tensor, before: Outputs, domain: DomainName) -> Outputs:
        """Answer with the assignments that the batch settles on, as logits."""
        affinity = neighbourhood(before.features, self.neighbours)
        log_p = before.logits.log_softmax(1)
        z = log_p.exp()
        for _ in range(self.rounds):
            last, z = z, (log_p + affinity @ z).softmax(1)
            if (z - last).abs().max() < 1e-6:
                break
        return Outputs(before.features, (log_p + affinity @ z).log_softmax(1))


def neighbourhood(features: Tensor, neighbours: int) -> Tensor:
    """Who is whose nearest, ``(n, n)``: the mean of both directions, nobody their own."""
    unit = normalize(features)
    near = unit @ unit.T
    near.fill_diagonal_(-torch.inf)
    chosen = near.topk(min(neighbours, len(near) - 1)).indices
    directed = torch.zeros_like(near).scatter_(1, chosen, 1.0)
    return (directed + directed.T) / 2
