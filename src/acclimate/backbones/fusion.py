"""Two parallel backbones, of images and of texts; ``auto`` chooses it for a table with a column of each."""

import importlib.util
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate import backbones
from acclimate.backbones.base import Built, InputSpec, Shape, TrainingDefaults
from acclimate.backbones.minilm import PACKAGE
from acclimate.data.packing import unpack
from acclimate.errors import BadInput
from acclimate.nn import Classifier

INPUT_KIND = "image and text"


def defaults() -> dict[str, str]:
    """Return the default backbones: for texts MiniLM, or dense layers on tf-idf if it is not installed."""
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
    """Return images as the image backbone requires them, and tokens (or tf-idf) as the text backbone does.

    Raises:
        BadInput: One of them is not installed, is for another kind of input, or has no such option.
    """
    given = {"pretrained": pretrained, "weights": weights, "length": length}
    _check_known("weights", weights, image)
    _check_known("length", length, text)
    of_image = backbones.input_spec(image, "images", _own(image, given))
    of_text = backbones.input_spec(text, "text", _own(text, given))
    return InputSpec(
        size=of_image.size, interpolation=of_image.interpolation, encoder=of_text.encoder, length=of_text.length
    )


def is_pretrained(*, image: str = "efficientnet_lite0", text: str = "minilm", **given: object) -> bool:
    """Whether both start from pretrained weights."""
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
    """Late fusion: the features of image and text, each layer-normalised and then concatenated; a linear head.

    Both backbones train at the lower of their learning rates, so one without pretrained weights learns slowly next to
    a pretrained one. The default is therefore pretrained for images of any size.

    Args:
        shape: Packed images and texts.
        n_classes: Number of classes.
        image: Backbone of the images.
        text: Backbone of the texts: ``minilm``, ``encoder:FOLDER``, or ``mlp`` on tf-idf, the default if no encoder
            is installed.
        pretrained: Use pretrained weights for each backbone that has them.
        weights: A local file with the weights of the image backbone.
        length: Maximum number of tokens of a text.

    Reference:
        Baltrušaitis et al., Multimodal Machine Learning: A Survey and Taxonomy, TPAMI 2019. arXiv:1705.09406
    """
    image_shape, text_shape = shape.parts
    given = {"pretrained": pretrained, "weights": weights, "length": length}
    of_image = backbones.build(image, image_shape, n_classes, _own(image, given))
    of_text = backbones.build(text, text_shape, n_classes, _own(text, given))
    tokens = text_shape.encoder is not None
    net = Fusion(of_image.classifier, of_text.classifier, image_shape.size, tokens=tokens)
    head = nn.Linear(net.d, n_classes)
    classifier = Classifier(net, head, n_features=net.d, n_classes=n_classes)
    freeze = all(of.training.get("freeze_batch_norm") or not _has_batch_norm(of) for of in (of_image, of_text))
    return Built(classifier, {**_training(of_image.training, of_text.training), "freeze_batch_norm": freeze})


class Fusion(nn.Module):
    """Packed images and texts ``(n, bytes)`` to features ``(n, d_image + d_text)``.

    Args:
        image: The classifier whose backbone takes the images, ``(n, 3, size, size)``.
        text: The classifier whose backbone takes the texts, ``(n, w)``.
        size: Pixels a side.
        tokens: Whether texts are tokens rather than tf-idf weights.
    """

    parallel = ("image", "text")
    """Names of the parallel parts."""

    def __init__(self, image: Classifier, text: Classifier, size: int, *, tokens: bool):
        super().__init__()
        self.size, self.tokens = size, tokens
        self.d = image.n_features + text.n_features
        self.normalize, self.image, self.text = image.normalize, image.backbone, text.backbone

    def forward(self, rows: Tensor) -> Tensor:
        """Features of both, on the same scale."""
        pixels, words = unpack(rows, self.size, torch.int32 if self.tokens else torch.float32)
        of_image, of_text = self.image(self.normalize(pixels)), self.text(words.long() if self.tokens else words)
        return torch.cat([nn.functional.layer_norm(x, x.shape[1:]) for x in (of_image, of_text)], 1)

    def extra_repr(self) -> str:
        """The settings that its weights do not include."""
        return f"size={self.size}, tokens={self.tokens}"


def _own(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """Return those of the options that the backbone called ``name`` has."""
    return {k: v for k, v in given.items() if k in backbones.options(name) and v is not None}


def _check_known(option: str, value: object, name: str) -> None:
    if value is not None and option not in backbones.options(name):
        raise BadInput(f"backbone.{option}: backbone {name} has no such option; remove it")


def _has_batch_norm(built: Built) -> bool:
    return any(isinstance(m, _BatchNorm) for m in built.classifier.modules())


def _training(image: TrainingDefaults, text: TrainingDefaults) -> TrainingDefaults:
    """Combine the settings of both: the lower rate for the backbones, the higher head rate for the head."""
    rates = [of for of in (image, text) if of["optimizer"] == "adamw"]  # a rate of SGD does not apply to AdamW
    lr = min(of["lr"] for of in rates)
    head = max(of["lr"] * of.get("head_lr", 1.0) for of in rates)
    return {"optimizer": "adamw", "lr": lr, "head_lr": head / lr, "schedule": "cosine", "weight_decay": 1e-2}
