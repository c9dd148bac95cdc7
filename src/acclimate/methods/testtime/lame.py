"""Laplacian adjusted maximum-likelihood estimation."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from acclimate.methods.testtime_base import TestTime
from acclimate.nn import Classifier, DomainName
from acclimate.types import Count, Outputs


class LAME(TestTime):
    r"""Make similar examples of a batch agree; the model itself does not change.

    .. math::
        \min_{z} \; \sum_i \mathrm{KL}(z_i \,\Vert\, p_i) - \sum_{i, j} w_{ij} z_i^\top z_j, \qquad
        z_i \leftarrow \mathrm{softmax}\Bigl(\log p_i + \sum_j w_{ij} z_j\Bigr)

    with :math:`w_{ij} = 1` if :math:`i` and :math:`j` are each among the other's ``neighbours`` by the cosine of their
    features, 1/2 if only one is, and 0 otherwise. The update is repeated until it converges.

    When to use:
        On a stream whose neighbours share a class, such as video frames, or with a net without batch norm. It corrects
        single predictions by those of similar examples; where a whole region is wrong, it stays wrong.

    Shapes: features ``(n, d)``, logits ``(n, k)``.

    Args:
        neighbours: Number of neighbours of each example; 5 in the paper's vision experiments.
        rounds: Largest number of updates.
        most_changed: Share of a batch whose class may change: the most that accuracy can lose.

    Reference:
        Boudiaf et al., Parameter-Free Online Test-Time Adaptation, CVPR 2022. arXiv:2201.05718
    """

    def __init__(self, model: Classifier, *, neighbours: Count = 5, rounds: Count = 100, most_changed: float = 0.1):
        super().__init__(model, most_changed=most_changed)
        self.neighbours, self.rounds = neighbours, rounds

    @torch.no_grad()
    def adapt(self, inputs: Tensor, before: Outputs, domain: DomainName) -> Outputs:
        """The assignments on which the batch converges, as logits."""
        affinity = neighbourhood(before.features, self.neighbours)
        log_p = before.logits.log_softmax(1)
        z = log_p.exp()
        for _ in range(self.rounds):
            last, z = z, (log_p + affinity @ z).softmax(1)
            if (z - last).abs().max() < 1e-6:
                break
        return Outputs(before.features, (log_p + affinity @ z).log_softmax(1))


def neighbourhood(features: Tensor, neighbours: int) -> Tensor:
    """The weights ``w (n, n)``: whether each is a nearest neighbour of the other, averaged over both directions."""
    unit = normalize(features)
    near = unit @ unit.T
    near.fill_diagonal_(-torch.inf)
    chosen = near.topk(min(neighbours, len(near) - 1)).indices
    directed = torch.zeros_like(near).scatter_(1, chosen, 1.0)
    return (directed + directed.T) / 2
