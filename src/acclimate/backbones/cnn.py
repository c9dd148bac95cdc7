"""A small convolutional net for small images: what ``auto`` takes for them."""

import torch
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
        shape: Images of any size from 16 on.
        n_classes: Classes to tell apart.
        width: Channels of the first convolution; the second has half as many more.
        d: Features.
        dropout: Share of features left out in training.
        pixels: How they are normalised.
    """
    second = width * 3 // 2
    # ReLU behind the pooling gives the same and has a quarter of the work
    maps = nn.Sequential(
        nn.Conv2d(3, width, 5), nn.BatchNorm2d(width), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(width, second, 5), nn.BatchNorm2d(second), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    flat = maps(torch.zeros(2, 3, shape.size, shape.size)).shape[1]
    backbone = nn.Sequential(*maps, nn.Linear(flat, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Dropout(dropout))
    classifier = Classifier(
        backbone,
        nn.Linear(d, n_classes),
        n_features=d,
        n_classes=n_classes,
        normalize=normalisation(pixels, shape),
    )
    return Built(classifier, {"optimizer": "adamw", "lr": 1e-3, "schedule": "cosine", "weight_decay": 1e-3})
