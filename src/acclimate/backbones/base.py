"""What a backbone is given and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from acclimate.nn import Classifier, Normalize


@dataclass(frozen=True)
class Shape:
    """What comes in: images ``(n, 3, size, size)`` of uint8, or vectors ``(n, n_features)``, maybe sparse."""

    images: bool
    n_features: int = 0
    sparse: bool = False
    size: int = 0
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Built:
    """A fresh classifier and the training that suits it, used where the person says nothing."""

    classifier: Classifier
    training: Mapping[str, Any]


def paper_normalisation(shape: Shape) -> nn.Module:
    """The DANN paper's preprocessing: the mean taken away, pixels in units of 255."""
    return Normalize(shape.mean, [255.0] * len(shape.mean))


PAPER_TRAINING: Mapping[str, Any] = {"optimizer": "sgd", "lr": 0.01, "schedule": "dann"}
"""SGD with momentum 0.9 and the annealed rate of Ganin et al., JMLR 2016, section 5.2.2."""
