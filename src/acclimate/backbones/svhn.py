"""The DANN paper's network for street view house numbers."""

import torch
from torch import nn

from acclimate.backbones.base import PAPER_TRAINING, Built, Normalisation, Shape, normalisation
from acclimate.nn import Classifier
from acclimate.types import Share

INPUT_KIND = "images"


def build(shape: Shape, n_classes: int, *, dropout: Share = 0.5, pixels: Normalisation = "mean") -> Built:
    """Three convolutions to the features, then three dense layers (Ganin et al., JMLR 2016, figure 4).

    Args:
        shape: Images of at least 16 pixels a side; 32 in the paper.
        n_classes: Number of classes.
        dropout: Fraction of units dropped after each dense layer.
        pixels: How pixels are normalised.
    """
    # ReLU after the pooling gives the same result for a quarter of the work
    backbone = nn.Sequential(
        nn.Conv2d(3, 64, 5, padding=2), nn.MaxPool2d(3, 2), nn.ReLU(),
        nn.Conv2d(64, 64, 5, padding=2), nn.MaxPool2d(3, 2), nn.ReLU(),
        nn.Conv2d(64, 128, 5, padding=2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    d = backbone(torch.zeros(2, 3, shape.size, shape.size)).shape[1]
    head = nn.Sequential(
        nn.Linear(d, 3072), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(3072, 2048), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(2048, n_classes),
    )  # fmt: skip
    classifier = Classifier(backbone, head, n_features=d, n_classes=n_classes, normalize=normalisation(pixels, shape))
    return Built(classifier, PAPER_TRAINING)
