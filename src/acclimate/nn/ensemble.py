"""Several classifiers that predict together."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from acclimate.nn.classifier import Classifier
from acclimate.nn.norm import DomainName
from acclimate.types import Outputs


class Ensemble(nn.Module):
    r"""The mean of several classifiers' probabilities.

    .. math:: \log p(x) = \log \frac1M \sum_m \mathrm{softmax}(z_m(x))

    Its logits are these logarithms, so that their softmax is the mean; its features are those of the first classifier.

    Shapes: inputs as the members take them; features ``(n, d)``, logits ``(n, k)``.

    Args:
        members: Classifiers of the same inputs and classes.
    """

    def __init__(self, members: Sequence[Classifier]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.n_features, self.n_classes = members[0].n_features, members[0].n_classes

    @property
    def classifiers(self) -> list[Classifier]:
        """The members."""
        return [cast("Classifier", member) for member in self.members]

    def forward(self, inputs: Tensor, domain: DomainName = "target", *, layers: Sequence[str] = ()) -> Outputs:
        """Features of the first member, and logarithms of the mean probabilities."""
        first, *others = (member(inputs, domain, layers=layers) for member in self.members)
        logits = torch.stack([out.logits.log_softmax(1) for out in (first, *others)])
        return Outputs(first.features, logits.logsumexp(0) - math.log(len(logits)), first.layers)
