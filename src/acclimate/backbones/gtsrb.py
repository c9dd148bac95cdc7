"""The DANN paper's network for traffic signs."""

import torch
from torch import nn

from acclimate.backbones.base import PAPER_TRAINING, Built, Normalisation, Shape, normalisation
from acclimate.errors import BadInput
from acclimate.nn import Classifier, mlp

INPUT_KIND = "images"


def build(shape: Shape, n_classes: int, *, pixels: Normalisation = "mean") -> Built:
    """Three convolutions to the features, then two dense layers (Ganin et al., JMLR 2016, figure 4).

    Args:
        shape: Images of at least 32 pixels a side; 40 in the paper.
        n_classes: Number of classes.
        pixels: How pixels are normalised.

    Raises:
        BadInput: The images are too small.
    """
    if shape.size < 32:
        raise BadInput(f"backbone gtsrb: images of {shape.size} pixels are too small; use --image-size 40")
    # ReLU after the pooling gives the same result for a quarter of the work
    backbone = nn.Sequential(
        nn.Conv2d(3, 96, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(96, 144, 3), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(144, 256, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    d = backbone(torch.zeros(2, 3, shape.size, shape.size)).shape[1]
    classifier = Classifier(
        backbone,
        mlp(d, 512, n_classes),
        n_features=d,
        n_classes=n_classes,
        normalize=normalisation(pixels, shape),
    )
    return Built(classifier, PAPER_TRAINING)
