"""What a backbone is given and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from acclimate.nn import Classifier, Normalize, StandardizeImages


@dataclass(frozen=True)
class Shape:
    """What comes in: images ``(n, 3, size, size)`` of uint8, vectors ``(n, n_features)``, maybe sparse, or tokens.

    Tokens ``(n, n_features)`` are whole numbers, -1 where there is none; the folder ``encoder`` says what they mean.
    Images and texts together are rows of ``n_features`` bytes, and ``parts`` says what each of the two is like.
    """

    images: bool
    n_features: int = 0
    sparse: bool = False
    size: int = 0
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    encoder: Path | None = None
    parts: "tuple[Shape, ...]" = ()

    @property
    def kind(self) -> "InputKind":
        """``images``, ``tokens``, ``vectors`` or ``image and text``."""
        if self.parts:
            return "image and text"
        return "images" if self.images else "tokens" if self.encoder else "vectors"


InputKind = Literal["images", "vectors", "tokens", "image and text"]
"""What a backbone is for; each file says it as ``INPUT_KIND``."""


@dataclass(frozen=True)
class InputSpec:
    """What a backbone's inputs must be like; of what is none the data decide.

    Attributes:
        size: Pixels a side.
        interpolation: How images are brought to that.
        encoder: Folder with the tokenizer that texts go through.
        length: Tokens of a text at the most.
    """

    size: int | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    encoder: Path | None = None
    length: int | None = None


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
