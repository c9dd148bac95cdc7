"""Models of timm by name, with weights from the hub or a local file."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Thread
from typing import TypedDict, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.backbones.base import Built, InputSpec, Interpolation, Shape, TrainingDefaults, reads_weights
from acclimate.errors import BadInput, did_you_mean, nearest
from acclimate.nn import Classifier, Normalize
from acclimate.nn.efficientnet_lite import EfficientNetLite
from acclimate.types import Share

INPUT_KIND = "images"
ANSWERS_IN = 4.0
"""Seconds after which a hub that has not answered counts as out of reach."""


class PixelScale(TypedDict):
    """What is read from the configuration of pretrained weights: mean and standard deviation of pixels in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class TimmModel(nn.Module):
    """What every model of timm has; its own annotations say ``nn.Module``."""

    pretrained_cfg: PixelScale
    head_hidden_size: int

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier; 0 classes remove it."""
        raise NotImplementedError


def input_spec(*, model: str = "resnet18", pretrained: bool = True, weights: str | None = None) -> InputSpec:
    """Return size and interpolation of the model's own configuration, if it is pretrained or its size is fixed.

    The size is that of its training, and the whole image is resized to it: the centre crop that some models are tested
    on (``crop_pct``) is not used, since what distinguishes classes may be at the border.

    Raises:
        BadInput: timm has no such model or weights.
    """
    import timm

    if not timm.is_model(model):
        raise BadInput(f"backbone timm:{model}: timm has no such model; {_nearest(model, timm.list_models())}")
    try:
        config = timm.get_pretrained_cfg(model)
    except RuntimeError as error:
        tags = timm.list_pretrained(f"{model.partition('.')[0]}.*")
        raise BadInput(f"backbone timm:{model}: no such weights; {did_you_mean(model, tags)}") from error
    assert config, model
    if not (pretrained or weights):
        return InputSpec(size=config.input_size[-1] if config.fixed_input_size else None)
    how: Interpolation = "bilinear" if config.interpolation == "bilinear" else "bicubic"
    return InputSpec(size=config.input_size[-1], interpolation=how)


def build(
    shape: Shape,
    n_classes: int,
    *,
    model: str = "resnet18",
    pretrained: bool = True,
    weights: str | None = None,
    dropout: Share = 0.0,
) -> Built:
    """Timm's ``model`` with a linear head in place of its classifier; pretrained, with its own normalisation.

    Args:
        shape: Images.
        n_classes: Number of classes.
        model: timm's name; ``--backbone timm:resnet18`` sets it, ``timm:resnet18.a1_in1k`` also selects weights.
        pretrained: Use the hub's weights; with ``weights``, those of the file.
        weights: A local ``.safetensors`` or ``.pth`` state dict; only tensors are unpickled.
        dropout: Fraction of features dropped in training.

    Raises:
        BadInput: The model is unknown, or its weights are unavailable or do not fit.
    """
    import timm

    input_spec(model=model)
    fetched = pretrained and not weights and reads_weights()
    try:
        with _quick_hub() if fetched else nullcontext():
            net = cast("TimmModel", timm.create_model(model, pretrained=fetched, num_classes=0, drop_rate=dropout))
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(
            f"backbone timm:{model}: cannot download its weights from the hub ({type(error).__name__}); "
            "use --weights FILE, or --set backbone.pretrained=false for random weights"
        ) from error
    if weights and reads_weights():
        load_weights(net, Path(weights))
    config = net.pretrained_cfg
    scale = [255.0 * v for v in config["mean"]], [255.0 * v for v in config["std"]]
    trained = bool(pretrained or weights)
    return with_head(net, n_classes, Normalize(*(scale if trained else (shape.mean, shape.std))), trained)


@contextmanager
def _quick_hub() -> Iterator[None]:
    """Silence the hub client's log lines, and have it use its cached files alone if the hub is out of reach.

    By itself it tries again for most of a minute.
    """
    from huggingface_hub import constants

    client = logging.getLogger("huggingface_hub")
    level, offline = client.level, constants.HF_HUB_OFFLINE
    client.setLevel(logging.CRITICAL)
    constants.HF_HUB_OFFLINE = offline or not _answers(constants.ENDPOINT)
    try:
        yield
    finally:
        client.setLevel(level)
        constants.HF_HUB_OFFLINE = offline


def _answers(url: str) -> bool:
    """Whether a server answers; a thread asks, since nothing limits the time to look up the server's name."""
    from huggingface_hub import get_session

    answered: list[object] = []

    def ask() -> None:
        with suppress(Exception):  # proxies, certificates and names fail in many ways
            answered.append(get_session().head(url, timeout=ANSWERS_IN))

    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWERS_IN)
    return bool(answered)


def with_head(net: TimmModel | EfficientNetLite, n_classes: int, normalize: Normalize, trained: bool) -> Built:
    """Put a linear head on a model without classifier; a trained backbone learns at a tenth of the head's rate.

    Args:
        net: The model.
        n_classes: Number of classes.
        normalize: Normalisation of its inputs.
        trained: Whether its weights are pretrained.
    """
    d = net.head_hidden_size  # some models have a layer after what timm calls their features
    for norm in net.modules():
        if isinstance(norm, _BatchNorm) and norm.momentum is not None:
            norm.momentum = max(norm.momentum, 0.1)  # some models have 0.01, too slow for a short training
    classifier = Classifier(net, nn.Linear(d, n_classes), n_features=d, n_classes=n_classes, normalize=normalize)
    how: TrainingDefaults = {"lr": 1e-4, "head_lr": 10.0, "freeze_batch_norm": True} if trained else {"lr": 1e-3}
    return Built(classifier, {"optimizer": "adamw", **how, "schedule": "cosine", "weight_decay": 1e-2})


def load_weights(net: nn.Module, path: Path) -> None:
    """Load the weights in a file into ``net``; ignores a classifier's weights that ``net`` does not have.

    Raises:
        BadInput: The file is missing, not a safe state dict, or belongs to another architecture.
    """
    state = _read(path)
    own = net.state_dict()
    matching = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if missing := sorted(own.keys() - matching.keys()):
        raise BadInput(
            f"{path}: lacks {len(missing)} of the model's {len(own)} tensors, the first is {missing[0]!r}; "
            "check that the weights belong to this model"
        )
    net.load_state_dict(matching)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise BadInput(f"{path}: weights file not found; check the path")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format fails in its own ways on a damaged or hostile file
        raise BadInput(
            f"{path}: refused, not a plain state dict ({type(error).__name__}); save only tensors, as .safetensors"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BadInput(f"{path}: not a state dict of tensors; save `model.state_dict()`")
    return state


def _nearest(model: str, known: list[str]) -> str:
    near = nearest(model, known)
    return f"did you mean timm:{near}?" if near else "see timm.list_models()"
