"""The DANN paper's network for MNIST and similar digits."""

from torch import nn

from acclimate.backbones.base import PAPER_TRAINING, Built, Normalisation, Shape, normalisation
from acclimate.nn import Classifier, mlp

INPUT_KIND = "images"


def build(shape: Shape, n_classes: int, *, norm: bool = False, pixels: Normalisation = "mean") -> Built:
    """Two convolutions to the features, then three dense layers (Ganin et al., JMLR 2016, figure 4).

    Args:
        shape: Images of at least 16 pixels a side; 28 in the paper.
        n_classes: Number of classes.
        norm: Add batch norm after each convolution; the paper has none.
        pixels: How pixels are normalised.
    """
    # ReLU after the pooling gives the same result for a quarter of the work
    backbone = nn.Sequential(
        nn.Conv2d(3, 32, 5), *([nn.BatchNorm2d(32)] if norm else []), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(32, 48, 5), *([nn.BatchNorm2d(48)] if norm else []), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    d = 48 * (((shape.size - 4) // 2 - 4) // 2) ** 2
    classifier = Classifier(
        backbone,
        mlp(d, 100, 100, n_classes),
        n_features=d,
        n_classes=n_classes,
        normalize=normalisation(pixels, shape),
    )
    return Built(classifier, PAPER_TRAINING)
