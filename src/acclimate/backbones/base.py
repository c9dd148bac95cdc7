"""What a backbone takes and returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:  # so that the names of backbones are known without torch
    from torch import nn

    from acclimate.nn import Classifier


@dataclass(frozen=True)
class Shape:
    """Shape of the inputs: uint8 images ``(n, 3, size, size)``, dense or sparse vectors ``(n, n_features)``, or tokens.

    Tokens ``(n, n_features)`` are integers, with -1 as padding; their vocabulary is that of the folder ``encoder``.
    Images with texts are packed into rows of ``n_features`` bytes; ``parts`` has the shapes of image and text.
    """

    images: bool
    n_features: int = 0
    sparse: bool = False
    size: int = 0
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    encoder: Path | None = None
    parts: tuple[Shape, ...] = ()

    @property
    def kind(self) -> InputKind:
        """``images``, ``tokens``, ``vectors`` or ``image and text``."""
        if self.parts:
            return "image and text"
        return "images" if self.images else "tokens" if self.encoder else "vectors"


InputKind = Literal["images", "vectors", "tokens", "image and text"]
"""Kinds of input; each backbone's file names its own as ``INPUT_KIND``."""


Interpolation = Literal["bilinear", "bicubic"]
"""How images are resized."""


@dataclass(frozen=True)
class InputSpec:
    """The inputs that a backbone requires; the data decide what is None.

    Attributes:
        size: Pixels a side.
        interpolation: How images are resized.
        encoder: Folder with the tokenizer of the texts.
        length: Maximum number of tokens of a text.
    """

    size: int | None = None
    interpolation: Interpolation = "bilinear"
    encoder: Path | None = None
    length: int | None = None


class TrainingDefaults(TypedDict, total=False):
    """Values for the settings of `acclimate.recipe.Training` that the backbone chooses."""

    optimizer: Literal["sgd", "adam", "adamw"]
    lr: float
    head_lr: float
    schedule: Literal["dann", "cosine", "constant"]
    weight_decay: float
    freeze_batch_norm: bool
    patience: int


@dataclass(frozen=True)
class Built:
    """An untrained classifier, and default training settings that suit it."""

    classifier: Classifier
    training: TrainingDefaults


_reads_weights = ContextVar("reads_weights", default=True)


@contextmanager
def without_weights() -> Iterator[None]:
    """Within it, backbones read and fetch no pretrained weights, and all else is as if they did.

    A recipe in a Run from elsewhere may name any file or hub address; the Run's own weights are loaded next.
    """
    before = _reads_weights.set(False)
    try:
        yield
    finally:
        _reads_weights.reset(before)


def reads_weights() -> bool:
    """Whether pretrained weights are read; not within `without_weights`."""
    return _reads_weights.get()


Normalisation = Literal["mean", "standard", "image"]
"""Normalisation of pixels: subtract the domains' mean and divide by 255, as in the DANN paper; or divide by their
standard deviation; or scale each image to mean 0 and variance 1."""


def normalisation(how: Normalisation, shape: Shape) -> nn.Module:
    """Return the normalisation before a network that is not pretrained."""
    from acclimate.nn import Normalize, StandardizeImages

    if how == "image":
        return StandardizeImages()
    return Normalize(shape.mean, shape.std if how == "standard" else [255.0] * len(shape.mean))


PAPER_TRAINING: TrainingDefaults = {"optimizer": "sgd", "lr": 0.01, "schedule": "dann"}
"""SGD with momentum 0.9 and the annealed learning rate of Ganin et al., JMLR 2016, section 5.2.2."""
