"""Any model of timm, its weights from the hub or from a local file."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.backbones.base import Built, InputSpec, Shape
from acclimate.errors import BadInput, did_you_mean
from acclimate.nn import Classifier, Normalize
from acclimate.types import Share

INPUT_KIND = "images"


def input_spec(*, model: str = "resnet18", pretrained: bool = True, weights: str | None = None) -> InputSpec:
    """Size and interpolation of the model's own configuration, if its weights are taken or it takes no other size.

    The size is that of its training, and the whole image is brought to it: the share of the middle that some models
    are tested on (``crop_pct``) is left aside, since what tells classes apart may lie at the border.

    Raises:
        BadInput: No such model.
    """
    import timm

    if not timm.is_model(model):
        raise BadInput(f"backbone timm:{model}: timm has no such model; {_near(model, timm.list_models())}")
    try:
        config: Any = timm.get_pretrained_cfg(model)
    except RuntimeError as error:
        tags = timm.list_pretrained(f"{model.partition('.')[0]}.*")
        raise BadInput(f"backbone timm:{model}: no such weights; {did_you_mean(model, tags)}") from error
    if not (pretrained or weights):
        return InputSpec(size=config.input_size[-1] if config.fixed_input_size else None)
    how: Any = "bilinear" if config.interpolation == "bilinear" else "bicubic"
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
    """Timm's ``model`` without its classifier, a linear head; with trained weights the model's own normalisation.

    Args:
        shape: Images.
        n_classes: Classes to tell apart.
        model: timm's name; ``--backbone timm:resnet18`` sets it, ``timm:resnet18.a1_in1k`` its weights as well.
        pretrained: Take the hub's weights; with ``weights`` the file's.
        weights: A local ``.safetensors`` or ``.pth`` state dict; nothing in it is unpickled but tensors.
        dropout: Share of features left out in training.

    Raises:
        BadInput: No such model, weights that cannot be had, or that do not fit.
    """
    import timm

    input_spec(model=model)
    fetched = pretrained and not weights
    try:
        with _silent_hub():
            net: Any = timm.create_model(model, pretrained=fetched, num_classes=0, drop_rate=dropout)
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(
            f"backbone timm:{model}: its weights cannot be had from the hub ({type(error).__name__}); "
            "give a file with --weights, or --set backbone.pretrained=false to start from nothing"
        ) from error
    if weights:
        load_weights(net, Path(weights))
    config: dict[str, Any] = net.pretrained_cfg
    scale = [255.0 * v for v in config["mean"]], [255.0 * v for v in config["std"]]
    from_weights = bool(pretrained or weights)
    return with_head(net, n_classes, Normalize(*(scale if from_weights else (shape.mean, shape.std))), from_weights)


@contextmanager
def _silent_hub() -> Iterator[None]:
    """Keep the hub's client from a dozen lines on its failures; they come as an error too, and are told in one."""
    client = logging.getLogger("huggingface_hub")
    usual = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(usual)


def with_head(net: Any, n_classes: int, normalize: Normalize, from_weights: bool) -> Built:
    """A model of timm without its classifier under a fresh linear head; trained weights move a tenth as fast."""
    d = int(net.head_hidden_size)  # some have a layer behind what timm calls their features
    for norm in net.modules():
        if isinstance(norm, _BatchNorm) and norm.momentum is not None:
            norm.momentum = max(norm.momentum, 0.1)  # some have a hundredth, which a short training would not move
    classifier = Classifier(net, nn.Linear(d, n_classes), n_features=d, n_classes=n_classes, normalize=normalize)
    # what is pretrained moves at a tenth of the rate, what is fresh at the whole
    how = {"lr": 1e-4, "head_lr": 10.0, "freeze_batch_norm": True} if from_weights else {"lr": 1e-3}
    return Built(classifier, {"optimizer": "adamw", **how, "schedule": "cosine", "weight_decay": 1e-2})


def load_weights(net: nn.Module, path: Path) -> None:
    """Put the weights in a file into ``net``; weights of a classifier that it has not are left aside.

    Raises:
        BadInput: The file is missing, no safe state dict, or of another architecture.
    """
    state = _read(path)
    own = net.state_dict()
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if missing := sorted(own.keys() - fits.keys()):
        raise BadInput(
            f"{path}: lacks {len(missing)} of the model's {len(own)} tensors, first {missing[0]!r}; "
            "is it the right model?"
        )
    net.load_state_dict(fits)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise BadInput(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format fails in its own ways on a damaged or hostile file
        raise BadInput(
            f"{path}: refused, not a plain state dict ({type(error).__name__}); save tensors only, best as .safetensors"
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BadInput(f"{path}: holds no state dict of tensors; save `model.state_dict()`")
    return state


def _near(model: str, known: list[str]) -> str:
    near = get_close_matches(model, known, n=1)
    return f"did you mean {near[0]}?" if near else "see timm.list_models()"
