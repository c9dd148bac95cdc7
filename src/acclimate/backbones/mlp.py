"""Dense layers, for vectors, tables and sparse rows of words."""

from torch import nn

from acclimate.backbones.base import Built, Shape
from acclimate.nn import Classifier, SparseLinear
from acclimate.types import Count, Share

INPUT_KIND = "vectors"


def build(shape: Shape, n_classes: int, *, hidden: Count = 50, depth: Count = 1, dropout: Share = 0.0) -> Built:
    """``depth`` dense layers with ReLU to ``hidden`` features; a linear head.

    The first layer multiplies sparse rows without making them dense.

    Args:
        shape: Vectors.
        n_classes: Number of classes.
        hidden: Features, and width of each layer; 50 or 100 in the DANN paper's Amazon experiments.
        depth: Number of layers.
        dropout: Fraction of features dropped in training.
    """
    first = SparseLinear if shape.sparse else nn.Linear
    layers: list[nn.Module] = [first(shape.n_features, hidden), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(hidden, hidden), nn.ReLU()]
    backbone = nn.Sequential(*layers, nn.Dropout(dropout))
    classifier = Classifier(backbone, nn.Linear(hidden, n_classes), n_features=hidden, n_classes=n_classes)
    return Built(classifier, {"optimizer": "adamw", "lr": 1e-3, "schedule": "cosine", "weight_decay": 1e-2})
