"""What a backbone is given and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from acclimate.nn import Classifier, Normalize, StandardizeImages


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


Normalisation = Literal["mean", "standard", "image"]
"""What is done to pixels first: the domains' mean taken away and divided by 255, as in the DANN paper; also divided by
their standard deviation; or each image brought to mean 0 and variance 1 by itself."""


def normalisation(how: Normalisation, shape: Shape) -> nn.Module:
    """What stands before a net that is trained from nothing."""
    if how == "image":
        return StandardizeImages()
    return Normalize(shape.mean, shape.std if how == "standard" else [255.0] * len(shape.mean))


PAPER_TRAINING: Mapping[str, Any] = {"optimizer": "sgd", "lr": 0.01, "schedule": "dann"}
"""SGD with momentum 0.9 and the annealed rate of Ganin et al., JMLR 2016, section 5.2.2."""
