"""EfficientNet-Lite: the network itself, with the names and the paddings of its published weights."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Stage(NamedTuple):
    """Blocks of one shape.

    Attributes:
        blocks: How many there are; the first one changes size and channels.
        kernel: Side of their depthwise kernels.
        stride: Of the first block.
        expansion: Times as many channels inside a block as it takes.
        channels: What each block gives.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


LITE0 = (
    Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112), Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320),
)  # fmt: skip
STEM, FEATURES, IMAGENET = 32, 1280, 1000
"""Channels of the first convolution, features, and ImageNet's classes."""
EPS = 1e-3
"""Of batch norm, as in TensorFlow."""


class EfficientNetLite(nn.Module):
    r"""Inverted residual blocks with ReLU6, without squeeze-and-excitation; images ``(n, 3, h, w)`` to features.

    A block expands its channels, filters each one, and projects them down; where input and output have one shape, the
    input is added:

    .. math::
        y = x + P(\mathrm{D}(\mathrm{E}(x)))

    Names of modules are those of timm's ``tf_efficientnet_lite0``, so that weights of either load into the other.

    Args:
        stages: Its blocks.
        dropout: Fraction of features dropped in training.

    Reference:
        Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019.
        arXiv:1905.11946
    """

    head_hidden_size = FEATURES

    def __init__(self, stages: tuple[Stage, ...] = LITE0, *, dropout: float = 0.0):
        super().__init__()
        widths = (STEM, *(stage.channels for stage in stages))
        self.conv_stem, self.bn1 = padded(3, STEM, 3, 2), NormAct(STEM)
        self.blocks = nn.Sequential(*[_blocks(d, stage) for d, stage in zip(widths, stages, strict=False)])
        self.conv_head, self.bn2 = padded(widths[-1], FEATURES, 1), NormAct(FEATURES)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.classifier: nn.Module = nn.Linear(FEATURES, IMAGENET)
        self.apply(_initialize)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier; 0 classes remove it."""
        self.classifier = nn.Linear(FEATURES, num_classes) if num_classes else nn.Identity()

    def layer_groups(self) -> list[list[str]]:
        """The names of the parameters by layer: the stem, each block, the last one with the convolution above it."""
        blocks: dict[str, list[str]] = {}
        for name, _ in self.blocks.named_parameters(prefix="blocks"):
            blocks.setdefault(".".join(name.split(".")[:3]), []).append(name)
        *lower, last = blocks.values()
        stem = ["conv_stem.weight", "bn1.weight", "bn1.bias"]
        return [stem, *lower, [*last, "conv_head.weight", "bn2.weight", "bn2.bias"]]

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(n, 1280)``, or logits if there is a classifier."""
        x = self.blocks(self.bn1(self.conv_stem(x)))
        logits: Tensor = self.classifier(self.pool(self.bn2(self.conv_head(x))))
        return logits


class Padded(nn.Conv2d):
    """A convolution that pads as TensorFlow does where its stride is above 1: what is odd goes to the right and below.

    It is made as any convolution, since LoRA makes adapters of the type of the layer.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(n, d_out, ceil(h / stride), ceil(w / stride))``."""
        if self.stride[0] > 1:
            (top, below), (left, right) = (self._edges(size) for size in x.shape[-2:])
            x = nn.functional.pad(x, [left, right, top, below])
        return super().forward(x)

    def _edges(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        more = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        return more // 2, more - more // 2


def padded(d_in: int, d_out: int, kernel: int, stride: int = 1, groups: int = 1) -> Padded:
    """A convolution without bias whose output is ``1 / stride`` as large as its input, rounded up."""
    padding = (kernel - 1) // 2 if stride == 1 else 0
    return Padded(d_in, d_out, kernel, stride, padding, groups=groups, bias=False)


class NormAct(nn.BatchNorm2d):
    """Batch norm with the activation that follows it."""

    def __init__(self, d: int, *, acts: bool = True):
        super().__init__(d, eps=EPS)
        self.act = nn.ReLU6(inplace=True) if acts else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``."""
        y: Tensor = self.act(super().forward(x))
        return y


class Separable(nn.Module):
    """A block that does not expand: a depthwise convolution, then a projection."""

    def __init__(self, d_in: int, stage: Stage, stride: int):
        super().__init__()
        self.conv_dw, self.bn1 = padded(d_in, d_in, stage.kernel, stride, d_in), NormAct(d_in)
        self.conv_pw, self.bn2 = padded(d_in, stage.channels, 1), NormAct(stage.channels, acts=False)
        self.adds = stride == 1 and d_in == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, ceil(h / stride), ceil(w / stride))``."""
        y: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))
        return x + y if self.adds else y


class InvertedResidual(nn.Module):
    """A block that expands its channels, filters each, and projects them down."""

    def __init__(self, d_in: int, stage: Stage, stride: int):
        super().__init__()
        wide = d_in * stage.expansion
        self.conv_pw, self.bn1 = padded(d_in, wide, 1), NormAct(wide)
        self.conv_dw, self.bn2 = padded(wide, wide, stage.kernel, stride, wide), NormAct(wide)
        self.conv_pwl, self.bn3 = padded(wide, stage.channels, 1), NormAct(stage.channels, acts=False)
        self.adds = stride == 1 and d_in == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, ceil(h / stride), ceil(w / stride))``."""
        y: Tensor = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))))
        return x + y if self.adds else y


def _blocks(d_in: int, stage: Stage) -> nn.Sequential:
    block = Separable if stage.expansion == 1 else InvertedResidual
    later = (block(stage.channels, stage, 1) for _ in range(stage.blocks - 1))
    return nn.Sequential(block(d_in, stage, stage.stride), *later)


def _initialize(module: nn.Module) -> None:
    """Draw weights as EfficientNet's authors do."""
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        most = 1.0 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -most, most)
        torch.nn.init.zeros_(module.bias)
