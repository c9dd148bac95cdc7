"""The DANN paper's net for traffic signs."""

import torch
from torch import nn

from acclimate.backbones.base import PAPER_TRAINING, Built, Normalisation, Shape, normalisation
from acclimate.errors import BadInput
from acclimate.nn import Classifier, mlp

INPUT_KIND = "images"


def build(shape: Shape, n_classes: int, *, pixels: Normalisation = "mean") -> Built:
    """Three convolutions to the features, two dense layers behind them (Ganin et al., JMLR 2016, figure 4).

    Args:
        shape: Images of any size from 32 on; 40 in the paper.
        n_classes: Classes to tell apart.
        pixels: How they are normalised.

    Raises:
        BadInput: The images are too small for it.
    """
    if shape.size < 32:
        raise BadInput(f"backbone gtsrb: images of {shape.size} pixels are too small for it; use --image-size 40")
    # ReLU behind the pooling gives the same and has a quarter of the work
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
