"""The DANN paper's net for MNIST and its like."""

import torch
from torch import nn

from acclimate.backbones.base import PAPER_TRAINING, Built, Normalisation, Shape, normalisation
from acclimate.nn import Classifier, mlp

INPUT_KIND = "images"


def build(shape: Shape, n_classes: int, *, norm: bool = False, pixels: Normalisation = "mean") -> Built:
    """Two convolutions to the features, three dense layers behind them (Ganin et al., JMLR 2016, figure 4).

    Args:
        shape: Images of any size from 16 on; 28 in the paper.
        n_classes: Classes to tell apart.
        norm: Batch norm behind each convolution, which the paper has not.
        pixels: How they are normalised.
    """
    # ReLU behind the pooling gives the same and has a quarter of the work
    backbone = nn.Sequential(
        nn.Conv2d(3, 32, 5), *([nn.BatchNorm2d(32)] if norm else []), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(32, 48, 5), *([nn.BatchNorm2d(48)] if norm else []), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    d = backbone(torch.zeros(2, 3, shape.size, shape.size)).shape[1]
    classifier = Classifier(
        backbone,
        mlp(d, 100, 100, n_classes),
        n_features=d,
        n_classes=n_classes,
        normalize=normalisation(pixels, shape),
    )
    return Built(classifier, PAPER_TRAINING)
