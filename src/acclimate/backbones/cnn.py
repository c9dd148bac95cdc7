"""A small convolutional network for small images, for which ``auto`` chooses it."""

from torch import nn

from acclimate.backbones.base import Built, Normalisation, Shape, normalisation
from acclimate.nn import Classifier
from acclimate.types import Count, Share

INPUT_KIND = "images"


def build(
    shape: Shape,
    n_classes: int,
    *,
    width: Count = 32,
    d: Count = 128,
    dropout: Share = 0.0,
    pixels: Normalisation = "standard",
) -> Built:
    """Two convolutions and a dense layer to ``d`` features, each with batch norm; a linear head.

    Args:
        shape: Images of at least 16 pixels a side.
        n_classes: Number of classes.
        width: Channels of the first convolution; the second has 1.5 times as many.
        d: Features.
        dropout: Fraction of features dropped in training.
        pixels: How pixels are normalised.
    """
    second = width * 3 // 2
    # ReLU after the pooling gives the same result for a quarter of the work
    maps = nn.Sequential(
        nn.Conv2d(3, width, 5), nn.BatchNorm2d(width), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(width, second, 5), nn.BatchNorm2d(second), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    side = ((shape.size - 4) // 2 - 4) // 2
    backbone = nn.Sequential(*maps, nn.Linear(second * side**2, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Dropout(dropout))
    classifier = Classifier(
        backbone,
        nn.Linear(d, n_classes),
        n_features=d,
        n_classes=n_classes,
        normalize=normalisation(pixels, shape),
    )
    return Built(classifier, {"optimizer": "adamw", "lr": 1e-3, "schedule": "cosine", "weight_decay": 1e-3})
