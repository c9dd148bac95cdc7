"""The fine-tuning ladder: which weights move, when and how fast; any rung goes with any method.

As with methods the folder is the registry: one file, one ``paces``, whose keyword-only arguments are the options.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from acclimate import backbones
from acclimate.backbones.layers import layer_groups
from acclimate.errors import BadInput, did_you_mean
from acclimate.finetune.base import FROZEN, Pace
from acclimate.nn import Classifier
from acclimate.recipe import Recipe

__all__ = [
    "FROZEN",
    "Layer",
    "Pace",
    "Unfreezer",
    "classifier",
    "freezes_all",
    "layers",
    "merge",
    "names",
    "options",
    "paces_of",
]


class Layer(NamedTuple):
    """One layer of the backbone: the names of its parameters, and how they move."""

    names: tuple[str, ...]
    pace: Pace


def names() -> list[str]:
    """Every rung there is."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base")


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a rung.

    Raises:
        BadInput: There is no such rung.
    """
    parameters = inspect.signature(paces_of(name), eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def paces_of(name: str) -> Callable[..., list[Pace]]:
    """The function that gives each layer its pace, with the rung's docstring.

    Raises:
        BadInput: There is no such rung.
    """
    paces: Callable[..., list[Pace]] = _module(name).paces
    return paces


def freezes_all(name: str) -> bool:
    """Whether nothing of the backbone moves, so that its features can be computed once."""
    rung = _module(name)
    return not hasattr(rung, "prepare") and all(pace == FROZEN for pace in rung.paces(9)[:-1])


def classifier(
    recipe: Recipe,
    phase: str,
    shape: backbones.Shape,
    *,
    pretrained: bool = True,
    learnt: Mapping[str, Tensor] | None = None,
) -> Classifier:
    """The classifier a recipe asks for in one of its phases, its weights fresh.

    Args:
        recipe: Names the backbone, its options, what is learnt, the rung, and how batch norm treats the domains.
        phase: ``source_only``, ``pretrained`` or ``adapted``.
        shape: What comes in.
        pretrained: Fetch pretrained weights; not needed where a Run's are loaded next.
        learnt: Weights of a classifier, of which the backbone takes its own; the head stays fresh.
    """
    fresh = {"pretrained": False, "weights": None}
    without = {} if pretrained else {k: v for k, v in fresh.items() if k in backbones.options(recipe.backbone)}
    options = {**recipe.backbone_options, **without}
    model = backbones.build(recipe.backbone, shape, recipe.n_outputs, options).classifier
    if learnt is not None:  # before batch norm is parted, as both parts start from what was learnt
        own = {k.removeprefix("backbone."): v for k, v in learnt.items() if k.startswith("backbone.")}
        model.backbone.load_state_dict(own)
    if recipe.train.freeze_batch_norm and phase != "pretrained":
        model.freeze_batch_norm()
    if recipe.separates_batch_norm(phase):
        parts = _layers(model, recipe.finetune, recipe.finetune_options)
        frozen = {name for layer in parts for name in layer.names if layer.pace == FROZEN}
        model.separate_batch_norm(shared=recipe.train.batch_norm == "separate", but=frozen)
    return model


def layers(model: Classifier, name: str, options: Mapping[str, Any]) -> list[Layer]:
    """The layers of a model's backbone and how each moves, the lowest first; the model is made ready for the rung.

    What is not in any of them, as the head and all that a method brings, moves from the start.

    Raises:
        BadInput: The rung cannot be had with this backbone.
    """
    rung = _module(name)
    if not hasattr(rung, "prepare"):
        return _layers(model, name, options)
    prefix, net = model.net
    own = {id(p) for p in net.parameters()}
    rung.prepare(net, **options)
    return [Layer(tuple(prefix + n for n, p in net.named_parameters() if id(p) in own), FROZEN)]


def merge(model: Classifier, name: str) -> None:
    """Bring a trained model back into the backbone's own shape."""
    if hasattr(_module(name), "merge"):
        _module(name).merge(model.backbone)


class Unfreezer:
    """Has the layers of a model stand still until their time has come.

    Args:
        model: Whose backbone it is.
        layers: Its layers, each with its pace.
    """

    def __init__(self, model: Classifier, layers: Sequence[Layer]):
        self.model, self.layers = model, layers
        self.fixed = {name for name, p in model.backbone.named_parameters() if not p.requires_grad}
        self.still: frozenset[str] | None = None

    def __call__(self, progress: float) -> None:
        """Set what stands still at a progress in [0, 1]."""
        waiting = {name for layer in self.layers if layer.pace.start > progress for name in layer.names}
        still = frozenset(waiting | self.fixed)  # some nets have parameters that are never learnt
        if still != self.still:
            self.still = still
            self.model.freeze(still)


def _layers(model: Classifier, name: str, options: Mapping[str, Any]) -> list[Layer]:
    prefix, net = model.net
    groups = layer_groups(net)
    paces = _module(name).paces(len(groups) + 1, **options)
    return [Layer(tuple(prefix + n for n in group), pace) for group, pace in zip(groups, paces[:-1], strict=True)]


def _module(name: str) -> Any:
    if name not in names():
        raise BadInput(f"no rung {name!r} to fine-tune by; {did_you_mean(name, names())}")
    return importlib.import_module(f"{__name__}.{name}")
