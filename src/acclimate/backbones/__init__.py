"""Backbones by name. As with methods the folder is the registry: one file, one ``build``."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import NonNegativeInt

from acclimate.backbones.base import Built, InputKind, InputSpec, Shape
from acclimate.errors import BadInput, did_you_mean

NOT_BACKBONES = {"base", "layers"}
"""Files of the folder that are none."""

INPUT_NAMES: Mapping[InputKind, str] = {
    "images": "images",
    "vectors": "vectors, tables and text",
    "tokens": "text (--text COLUMN)",
    "image and text": "images with texts (--image COLUMN --text COLUMN)",
}
"""What a backbone is for, as a person says it."""
BOTTLENECK = inspect.Parameter("bottleneck", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=NonNegativeInt)
"""Features of a narrow layer behind the backbone, which moves where the backbone does not; 0 is none."""

__all__ = ["Built", "InputSpec", "Shape", "auto", "build", "defaults", "input_spec", "names", "options", "pretrained"]


def names() -> list[str]:
    """Every backbone there is; ``timm`` stands for ``timm:MODEL``."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in NOT_BACKBONES)


def auto(kind: str, size: int = 0) -> str:
    """What suits a domain of this kind, its images ``size`` pixels a side.

    Dense layers for vectors, tables and text; a small net for images up to 64 pixels, a pretrained one for larger ones;
    for images with texts a backbone of each.
    """
    if kind == "image and text":
        return "fusion"
    if kind != "images":
        return "mlp"
    return "cnn" if size <= 64 else "efficientnet_lite0"


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a backbone: the keyword-only arguments of its ``build``, and ``bottleneck``, which all have.

    Raises:
        BadInput: There is no such backbone.
    """
    parameters = inspect.signature(_module(name).build, eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY} | {"bottleneck": BOTTLENECK}


def pretrained(name: str, options: Mapping[str, Any]) -> bool:
    """Whether the backbone called ``name`` starts from trained weights with these options.

    Raises:
        BadInput: There is no such backbone.
    """
    module = _module(name)
    if hasattr(module, "starts_trained"):
        return bool(module.starts_trained(**_own(options)))
    usual = inspect.signature(module.build).parameters.get("pretrained")
    return bool(options.get("weights") or options.get("pretrained", usual and usual.default))


def defaults(name: str) -> dict[str, Any]:
    """Options that a recipe names even where nothing is said of them, since what is installed decides them.

    Raises:
        BadInput: There is no such backbone.
    """
    module = _module(name)
    found: dict[str, Any] = module.defaults() if hasattr(module, "defaults") else {}
    return found


def input_spec(name: str, kind: str, options: Mapping[str, Any]) -> InputSpec:
    """What the inputs of the backbone called ``name`` must be like, for domains of this kind.

    Raises:
        BadInput: There is no such backbone, or it is for another kind.
    """
    module = _module(name)
    fit: Mapping[InputKind, set[str]] = {
        "images": {"images"},
        "vectors": {"vectors", "table", "text"},
        "tokens": {"text"},
        "image and text": {"image and text"},
    }
    if kind not in fit[module.INPUT_KIND]:
        raise _unfit(name, module.INPUT_KIND)
    if not hasattr(module, "input_spec"):
        return InputSpec()
    known = inspect.signature(module.input_spec).parameters
    wanted: InputSpec = module.input_spec(**_named(name), **{k: v for k, v in options.items() if k in known})
    return wanted


def build(name: str, shape: Shape, n_classes: int, options: Mapping[str, Any]) -> Built:
    """A fresh classifier on the backbone called ``name``.

    Raises:
        BadInput: There is no such backbone, or it cannot take this input.
    """
    module = _module(name)
    if shape.kind != module.INPUT_KIND:
        raise _unfit(name, module.INPUT_KIND)
    built: Built = module.build(shape, n_classes, **_named(name), **_own(options))
    width = options.get("bottleneck", 0)
    return replace(built, classifier=built.classifier.narrowed(width)) if width else built


def _own(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the backbone's own file knows."""
    return {name: value for name, value in options.items() if name != BOTTLENECK.name}


def _unfit(name: str, takes: InputKind) -> BadInput:
    return BadInput(
        f"backbone {name}: is for {INPUT_NAMES[takes]}, and these are not; leave --backbone out to have one chosen"
    )


def _named(name: str) -> dict[str, str]:
    """The option that stands behind the colon: ``timm:MODEL``, ``encoder:FOLDER``.

    Raises:
        BadInput: The backbone has none.
    """
    file, colon, after = name.partition(":")
    if colon and "model" not in options(name):
        raise BadInput(f"backbone {name}: nothing stands behind a colon here; use --backbone {file}")
    return {"model": after} if after else {}


def _module(name: str) -> Any:
    file = name.partition(":")[0]
    if file not in names():
        raise BadInput(f"no backbone {name!r}; {did_you_mean(name, [*names(), 'timm:resnet18'])}")
    return importlib.import_module(f"{__name__}.{file}")
