"""Backbones by name. As with methods the folder is the registry: one file, one ``build``."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from acclimate.backbones.base import Built, Shape
from acclimate.errors import BadInput, did_you_mean
from acclimate.nn import Classifier
from acclimate.recipe import Recipe

NO_BACKBONES = {"base", "layers"}
"""Files of the folder that are none."""

__all__ = ["Built", "Shape", "auto", "build", "classifier", "names", "options"]


def names() -> list[str]:
    """Every backbone there is; ``timm`` stands for ``timm:MODEL``."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in NO_BACKBONES)


def auto(shape: Shape) -> str:
    """What suits the data: dense layers for vectors, a small net for small images, a ResNet for larger ones."""
    if not shape.images:
        return "mlp"
    return "cnn" if shape.size <= 64 else "timm:resnet18"


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a backbone: the keyword-only arguments of its ``build``.

    Raises:
        BadInput: There is no such backbone.
    """
    parameters = inspect.signature(_module(name).build, eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


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
    built: Built = module.build(shape, n_classes, **more, **options)
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
    without = {} if pretrained or not recipe.backbone.startswith("timm") else {"pretrained": False, "weights": None}
    built = build(recipe.backbone, shape, recipe.n_outputs, {**recipe.backbone_options, **without})
    if learnt is not None:  # before batch norm is parted, as both parts start from what was learnt
        own = {k.removeprefix("backbone."): v for k, v in learnt.items() if k.startswith("backbone.")}
        built.classifier.backbone.load_state_dict(own)
    if recipe.separates_batch_norm(phase):
        built.classifier.separate_batch_norm(shared=recipe.train.batch_norm == "separate")
    return built.classifier


def _module(name: str) -> Any:
    file = name.partition(":")[0]
    if file not in names():
        raise BadInput(f"no backbone {name!r}; {did_you_mean(name, [*names(), 'timm:resnet18'])}")
    return importlib.import_module(f"{__name__}.{file}")
