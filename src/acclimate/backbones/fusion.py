"""Two backbones side by side, of images and of texts: what ``auto`` takes for a table with a column of each."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate import backbones
from acclimate.backbones.base import Built, InputSpec, Shape
from acclimate.backbones.minilm import PACKAGE
from acclimate.data.packing import unpack
from acclimate.errors import BadInput
from acclimate.nn import Classifier

INPUT_KIND = "image and text"


def defaults() -> dict[str, Any]:
    """The two where nothing is said: MiniLM for texts, but where it is not installed dense layers on tf-idf."""
    text = "minilm" if all(importlib.util.find_spec(name) for name in ("transformers", PACKAGE)) else "mlp"
    return {"image": "efficientnet_lite0", "text": text}


def input_spec(
    *,
    image: str = "efficientnet_lite0",
    text: str = "minilm",
    pretrained: bool = True,
    weights: str | None = None,
    length: int | None = None,
) -> InputSpec:
    """Images as the one backbone wants them, tokens (or tf-idf) as the other does.

    Raises:
        BadInput: One of them cannot be had, is for something else, or has no such option.
    """
    given = {"pretrained": pretrained, "weights": weights, "length": length}
    _check_known("weights", weights, image)
    _check_known("length", length, text)
    seen = backbones.input_spec(image, "images", _own(image, given))
    read = backbones.input_spec(text, "text", _own(text, given))
    return InputSpec(size=seen.size, interpolation=seen.interpolation, encoder=read.encoder, length=read.length)


def starts_trained(*, image: str = "efficientnet_lite0", text: str = "minilm", **given: Any) -> bool:
    """Whether both start from trained weights."""
    return all(backbones.pretrained(name, _own(name, given)) for name in (image, text))


def build(
    shape: Shape,
    n_classes: int,
    *,
    image: str = "efficientnet_lite0",
    text: str = "minilm",
    pretrained: bool = True,
    weights: str | None = None,
    length: int | None = None,
) -> Built:
    """Late fusion: features of the image beside features of the text, each layer-normalised; a linear head.

    Both move at the rate of the one that asks for the lower; so a backbone with fresh weights beside a pretrained one
    learns slowly, and the default is a pretrained one whatever the images' size.

    Args:
        shape: Images and texts, packed.
        n_classes: Classes to tell apart.
        image: Backbone of the images.
        text: Backbone of the texts: ``minilm``, ``encoder:FOLDER``, or ``mlp`` on tf-idf, which is the default where
            no encoder is installed.
        pretrained: Take trained weights for both, where there are any.
        weights: A local file with those of the images' backbone.
        length: Tokens of a text at the most.

    Reference:
        Baltrušaitis et al., Multimodal Machine Learning: A Survey and Taxonomy, TPAMI 2019. arXiv:1705.09406
    """
    seen, read = shape.parts
    given = {"pretrained": pretrained, "weights": weights, "length": length}
    of_images = backbones.build(image, seen, n_classes, _own(image, given))
    of_texts = backbones.build(text, read, n_classes, _own(text, given))
    net = Fusion(of_images.classifier, of_texts.classifier, seen.size, tokens=read.encoder is not None)
    head = nn.Linear(net.d, n_classes)
    classifier = Classifier(net, head, n_features=net.d, n_classes=n_classes)
    still = all(of.training.get("freeze_batch_norm") or not _has_batch_norm(of) for of in (of_images, of_texts))
    return Built(classifier, {**_training(of_images.training, of_texts.training), "freeze_batch_norm": still})


class Fusion(nn.Module):
    """Packed images and texts ``(n, bytes)`` to features ``(n, d_image + d_text)``.

    Args:
        image: Whose backbone sees the images, ``(n, 3, size, size)``.
        text: Whose backbone reads the texts, ``(n, w)``.
        size: Pixels a side.
        tokens: Whether texts are tokens, and not weights of words.
    """

    beside = ("image", "text")
    """The parts that stand side by side, by name."""

    def __init__(self, image: Classifier, text: Classifier, size: int, *, tokens: bool):
        super().__init__()
        self.size, self.tokens = size, tokens
        self.d = image.n_features + text.n_features
        self.normalize, self.image, self.text = image.normalize, image.backbone, text.backbone

    def forward(self, rows: Tensor) -> Tensor:
        """Features of both, neither louder than the other."""
        pixels, words = unpack(rows, self.size, torch.int32 if self.tokens else torch.float32)
        seen, read = self.image(self.normalize(pixels)), self.text(words.long() if self.tokens else words)
        return torch.cat([nn.functional.layer_norm(x, x.shape[1:]) for x in (seen, read)], 1)

    def extra_repr(self) -> str:
        """What no weight tells of it."""
        return f"size={self.size}, tokens={self.tokens}"


def _own(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that the backbone called ``name`` has."""
    return {k: v for k, v in given.items() if k in backbones.options(name) and v is not None}


def _check_known(option: str, value: Any, name: str) -> None:
    if value is not None and option not in backbones.options(name):
        raise BadInput(f"backbone.{option}: backbone {name} has no such option; leave it out")


def _has_batch_norm(built: Built) -> bool:
    return any(isinstance(m, _BatchNorm) for m in built.classifier.modules())


def _training(image: Mapping[str, Any], text: Mapping[str, Any]) -> dict[str, Any]:
    """The lower of both rates for the backbones, the higher of those of both heads for the head."""
    rates = [of for of in (image, text) if of["optimizer"] == "adamw"]  # one of SGD means nothing here
    lr = min(of["lr"] for of in rates)
    head = max(of["lr"] * of.get("head_lr", 1.0) for of in rates)
    return {"optimizer": "adamw", "lr": lr, "head_lr": head / lr, "schedule": "cosine", "weight_decay": 1e-2}
