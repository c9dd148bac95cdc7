"""Backbones by name. As with methods the folder is the registry: one file, one ``build``."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from acclimate.backbones.base import Built, Shape, Takes, Wants
from acclimate.errors import BadInput, did_you_mean
from acclimate.nn import Classifier
from acclimate.recipe import Recipe

NO_BACKBONES = {"base", "layers"}
"""Files of the folder that are none."""

FOR: Mapping[Takes, str] = {"images": "images", "vectors": "vectors, tables and text", "tokens": "text (--text COLUMN)"}
"""What a backbone is for, as a person says it."""

__all__ = ["Built", "Shape", "Wants", "auto", "build", "classifier", "names", "options", "wants"]


def names() -> list[str]:
    """Every backbone there is; ``timm`` stands for ``timm:MODEL``."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in NO_BACKBONES)


def auto(kind: str, size: int = 0) -> str:
    """What suits a domain of this kind, its images ``size`` pixels a side.

    Dense layers for vectors, tables and text; a small net for images up to 64 pixels, a pretrained one for larger ones.
    """
    if kind != "images":
        return "mlp"
    return "cnn" if size <= 64 else "efficientnet_lite0"


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a backbone: the keyword-only arguments of its ``build``.

    Raises:
        BadInput: There is no such backbone.
    """
    parameters = inspect.signature(_module(name).build, eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def wants(name: str, kind: str, options: Mapping[str, Any]) -> Wants:
    """What the inputs of the backbone called ``name`` must be like, for domains of this kind.

    Raises:
        BadInput: There is no such backbone, or it is for another kind.
    """
    module = _module(name)
    fit: Mapping[Takes, set[str]] = {"images": {"images"}, "vectors": {"vectors", "table", "text"}, "tokens": {"text"}}
    if kind not in fit[module.TAKES]:
        raise _unfit(name, module.TAKES)
    wanted: Wants = module.wants(**_named(name), **options) if hasattr(module, "wants") else Wants()
    return wanted


def build(name: str, shape: Shape, n_classes: int, options: Mapping[str, Any]) -> Built:
    """A fresh classifier on the backbone called ``name``.

    Raises:
        BadInput: There is no such backbone, or it cannot take this input.
    """
    module = _module(name)
    if shape.kind != module.TAKES:
        raise _unfit(name, module.TAKES)
    built: Built = module.build(shape, n_classes, **_named(name), **options)
    return built


def classifier(
    recipe: Recipe,
    phase: str,
    shape: Shape,
    *,
    pretrained: bool = True,
    learnt: Mapping[str, Tensor] | None = None,
) -> Classifier:
    """The classifier a recipe asks for in one of its phases, its weights fresh.

    Args:
        recipe: Names the backbone, its options, what is learnt and how batch norm treats the domains.
        phase: ``source_only``, ``pretrained`` or ``adapted``.
        shape: What comes in.
        pretrained: Fetch pretrained weights; not needed where a Run's are loaded next.
        learnt: Weights of a classifier, of which the backbone takes its own; the head stays fresh.
    """
    fresh = {"pretrained": False, "weights": None}
    without = {} if pretrained else {k: v for k, v in fresh.items() if k in options(recipe.backbone)}
    built = build(recipe.backbone, shape, recipe.n_outputs, {**recipe.backbone_options, **without})
    if learnt is not None:  # before batch norm is parted, as both parts start from what was learnt
        own = {k.removeprefix("backbone."): v for k, v in learnt.items() if k.startswith("backbone.")}
        built.classifier.backbone.load_state_dict(own)
    if recipe.separates_batch_norm(phase):
        built.classifier.separate_batch_norm(shared=recipe.train.batch_norm == "separate")
    return built.classifier


def _unfit(name: str, takes: Takes) -> BadInput:
    return BadInput(f"backbone {name}: is for {FOR[takes]}, and these are not; leave --backbone out to have one chosen")


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
