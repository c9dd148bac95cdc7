"""Neighbourhood reciprocity clustering."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from acclimate.methods.base import Method
from acclimate.nn import Classifier, size_buffers_as_loaded
from acclimate.nn.replicas import gather
from acclimate.types import Count, Labeled, Losses, Outputs, Unlabeled

ROWS_AT_ONCE = 256
"""Rows of the bank compared with all of it at a time; memory grows by this times the size of the target."""


class NRC(Method):
    r"""Predict for each target example what is predicted for its neighbours in the target.

    .. math::
        \min_{f, c} \; -\frac{1}{n} \sum_i \Bigl[ S_i^\top p_i + \sum_{k \in N_i} a_{ik} \, S_k^\top p_i
            + r \sum_{k \in N_i} \sum_{m \in E_k} S_m^\top p_i \Bigr] + \sum_c \bar p_c \log \bar p_c, \qquad
        a_{ik} = \begin{cases} 1 & i \in E_k \\ r & \text{else} \end{cases}

    It starts from the source-only model, trained with a label smoothing of 0.1 as for SHOT, learns at a tenth of its
    rate and uses no source example. A bank holds the features and predictions :math:`S` of the whole target, computed
    before each pass over it; the paper replaces each batch's as it goes. :math:`N_i` are the nearest rows by cosine,
    :math:`E_k` the nearest rows of those; reciprocal neighbours have full weight. An example does not know its own row
    of the bank, so the nearest row counts as its own: it is :math:`S_i` and not in :math:`N_i`. The entropy of the mean
    prediction :math:`\bar p` favours equally frequent classes, and does harm where they are not. The bank,
    ``n (d + k)`` numbers for a target of ``n``, is part of the state, so checkpoints grow by it; finding :math:`E`
    takes ``n² d`` products before a pass.

    When to use:
        As SHOT, where the source is unavailable and neighbours in feature space share a class even though source-only
        predicts different ones. It keeps the whole target's features in memory, so it suits targets of up to some
        100 000 examples. Like SHOT, it needs classes that are about equally frequent.

    Shapes: features ``(n_t, d)``, logits ``(n_t, k)``.

    Args:
        neighbours: Size of :math:`N_i`; 5 in the paper's experiments on VisDA.
        expanded: Size of :math:`E_k`; 5 in the paper's experiments on VisDA.
        far: :math:`r`, the weight of neighbours that are not reciprocal; 0.1 in the paper.
        diversity: Weight of the mean prediction's entropy; 1 in the paper.

    Reference:
        Yang et al., Exploiting the Intrinsic Neighborhood Structure for Source-Free Domain Adaptation, NeurIPS 2021.
        arXiv:2110.04202
    """

    needs: ClassVar[frozenset[str]] = frozenset({"target"})
    starts_from: ClassVar[str] = "source_only"
    start_options: ClassVar[Mapping[str, float]] = {"label_smoothing": 0.1}
    rate: ClassVar[float] = 0.1
    features: Tensor
    scores: Tensor
    nearest: Tensor

    def __init__(
        self, model: Classifier, *, neighbours: Count = 5, expanded: Count = 5, far: float = 0.1, diversity: float = 1.0
    ):
        super().__init__(model)
        self.neighbours, self.expanded, self.far, self.diversity = neighbours, expanded, far, diversity
        self.register_buffer("features", torch.zeros(0, model.n_features))
        self.register_buffer("scores", torch.zeros(0, model.n_classes))
        self.register_buffer("nearest", torch.zeros(0, expanded, dtype=torch.int64))
        size_buffers_as_loaded(self)

    @torch.no_grad()
    def before_pass(self, target: Iterable[Outputs]) -> None:
        """Refill the bank with the model's outputs for the whole target."""
        outputs = list(target)
        self.features = normalize(torch.cat([out.features for out in outputs])).detach()
        self.scores = torch.cat([out.logits for out in outputs]).softmax(1).detach()
        self.nearest = nearest_others(self.features, self.expanded)

    def forward(self, source: Labeled, target: Unlabeled, progress: float = 0.0, turn: str = "") -> Losses:
        """Agreement with the predictions of the example itself, its neighbours and theirs; diversity of the mean."""
        out: Outputs = self.model(target.inputs, "target")
        p, mean = out.logits.softmax(1), gather(out.logits.softmax(1)).mean(0)
        cosines = normalize(out.features.detach()) @ self.features.T
        found = cosines.topk(min(self.neighbours + 1, len(self.features))).indices
        itself, near = found[:, 0], found[:, 1:]
        theirs = self.nearest[near]
        mutual = (theirs == itself[:, None, None]).any(2)
        counts = torch.where(mutual, 1.0, self.far)
        return {
            "itself": -(self.scores[itself] * p).sum(1).mean(),
            "neighbours": -(counts[:, :, None] * self.scores[near] * p[:, None]).sum((1, 2)).mean(),
            "expanded": -self.far * (self.scores[theirs] * p[:, None, None]).sum((1, 2, 3)).mean(),
            "diversity": -self.diversity * torch.special.entr(mean).sum(),
        }


def nearest_others(features: Tensor, most: int) -> Tensor:
    """For each of ``features (n, d)`` of unit length, the ``most`` other rows with the largest cosine, ``(n, most)``.

    If there are fewer other rows, all of them.
    """
    found, most = [], min(most, len(features) - 1)
    for start in range(0, len(features), ROWS_AT_ONCE):
        cosines = features[start : start + ROWS_AT_ONCE] @ features.T
        cosines.diagonal(start).fill_(-torch.inf)
        found.append(cosines.topk(most).indices)
    return torch.cat(found)
