"""Backbones by name. As with methods the folder is the registry: one file, one ``build``."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from acclimate.backbones.base import Built, Shape
from acclimate.errors import BadInput, did_you_mean

NO_BACKBONES = {"base", "layers"}
"""Files of the folder that are none."""

__all__ = ["Built", "Shape", "auto", "build", "names", "options"]


BOTTLENECK = inspect.Parameter("bottleneck", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)
"""Features of a narrow layer behind the backbone, which moves where the backbone does not; 0 is none."""


def names() -> list[str]:
    """Every backbone there is; ``timm`` stands for ``timm:MODEL``."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in NO_BACKBONES)


def auto(shape: Shape) -> str:
    """What suits the data: dense layers for vectors, a small net for small images, a ResNet for larger ones."""
    if not shape.images:
        return "mlp"
    return "cnn" if shape.size <= 64 else "timm:resnet18"


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a backbone: the keyword-only arguments of its ``build``, and ``bottleneck``, which all have.

    Raises:
        BadInput: There is no such backbone.
    """
    parameters = inspect.signature(_module(name).build, eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY} | {"bottleneck": BOTTLENECK}


def build(name: str, shape: Shape, n_classes: int, options: Mapping[str, Any]) -> Built:
    """A fresh classifier on the backbone called ``name``.

    Raises:
        BadInput: There is no such backbone, or it cannot take this input.
    """
    module = _module(name)
    if shape.images == (name == "mlp"):
        is_for = "vectors, tables and text" if name == "mlp" else "images"
        raise BadInput(f"backbone {name}: is for {is_for}, and these are not; leave --backbone out to have one chosen")
    model = name.partition(":")[2]
    more = {"model": model} if model else {}
    own = {k: v for k, v in options.items() if k != "bottleneck"}
    built: Built = module.build(shape, n_classes, **more, **own)
    width = options.get("bottleneck", 0)
    return replace(built, classifier=built.classifier.narrowed(width)) if width else built


def _module(name: str) -> Any:
    file = name.partition(":")[0]
    if file not in names():
        raise BadInput(f"no backbone {name!r}; {did_you_mean(name, [*names(), 'timm:resnet18'])}")
    return importlib.import_module(f"{__name__}.{file}")
