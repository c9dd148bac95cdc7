"""Fine-tuning strategies: which layers train, when and how fast. Every strategy works with every method.

The folder is the registry, as for methods: one file, one function ``paces``, whose keyword-only arguments are the
strategy's options.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from acclimate import backbones
from acclimate.errors import BadInput, did_you_mean
from acclimate.finetune.base import FROZEN, Pace
from acclimate.recipe import STUDENT, TEACHER, Options, Recipe

if TYPE_CHECKING:  # so that the names of strategies are known without torch
    from torch import Tensor, nn

    from acclimate.nn import Classifier

__all__ = [
    "FROZEN",
    "Layer",
    "Pace",
    "Unfreezer",
    "check_name",
    "classifier",
    "freezes_all",
    "frozen_names",
    "layers",
    "merge",
    "names",
    "options",
    "paces_of",
    "untrained",
]


class Layer(NamedTuple):
    """One layer of the backbone: the names of its parameters, and how they train."""

    names: tuple[str, ...]
    pace: Pace


def names() -> list[str]:
    """Return the names of all strategies."""
    return list(_names())


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "base"))


def check_name(name: str) -> None:
    """Refuse an unknown strategy; imports none.

    Raises:
        BadInput: The strategy is unknown.
    """
    if name not in names():
        raise BadInput(f"no fine-tuning strategy {name!r}; {did_you_mean(name, names())}")


def options(name: str) -> dict[str, inspect.Parameter]:
    """Return the options of a strategy.

    Raises:
        BadInput: The strategy is unknown.
    """
    parameters = inspect.signature(paces_of(name), eval_str=True).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def paces_of(name: str) -> Callable[..., list[Pace]]:
    """Return the function that gives each layer its `Pace`; its docstring is the strategy's.

    Raises:
        BadInput: The strategy is unknown.
    """
    paces: Callable[..., list[Pace]] = _module(name).paces
    return paces


def freezes_all(name: str) -> bool:
    """Whether the strategy freezes the whole backbone, so that its features can be computed once."""
    strategy = _module(name)
    return not hasattr(strategy, "prepare") and all(pace == FROZEN for pace in strategy.paces(9)[:-1])


def frozen_names(model: Classifier, name: str, options: Mapping[str, object]) -> set[str]:
    """Return the names of the backbone's parameters that a strategy never moves; none if it inserts others into it."""
    if hasattr(_module(name), "prepare"):
        return set()
    return {p for layer in _layers(model, name, options) if layer.pace == FROZEN for p in layer.names}


def classifier(
    recipe: Recipe,
    phase: str,
    shape: backbones.Shape,
    *,
    pretrained: bool = True,
    learnt: Mapping[str, Tensor] | None = None,
) -> Classifier:
    """Build the untrained classifier of one phase of a recipe.

    Args:
        recipe: Names the backbone, its options, the task, the strategy, and how batch norm treats the domains.
        phase: ``source_only``, ``pretrained`` or ``adapted``.
        shape: Shape of the inputs.
        pretrained: Load pretrained weights; not needed if the weights of a Run are loaded next.
        learnt: Weights of a classifier from which the backbone takes its own; the head stays untrained.
    """
    options = recipe.backbone_options if pretrained else untrained(recipe)
    model = backbones.build(recipe.backbone, shape, recipe.n_outputs, options).classifier
    if learnt is not None:  # before batch norm is separated, as both domains start from these statistics
        own = {k.removeprefix("backbone."): v for k, v in learnt.items() if k.startswith("backbone.")}
        model.backbone.load_state_dict(own)
    if recipe.train.freeze_batch_norm and phase != "pretrained":
        model.freeze_batch_norm()
    if recipe.separates_batch_norm(phase):
        parts = _layers(model, recipe.finetune, recipe.finetune_options)
        frozen = {name for layer in parts for name in layer.names if layer.pace == FROZEN}
        model.separate_batch_norm(shared=recipe.train.batch_norm == "separate", exclude=frozen)
    return model


def model(recipe: Recipe, phase: str, shape: backbones.Shape) -> nn.Module:
    """Build the model of one phase of a recipe, whose weights a Run has.

    It is a classifier, or an ensemble of several: the adapted model of such a method, or the teacher of a student.
    """
    from acclimate.nn import Ensemble  # imports torch

    if phase != (TEACHER if recipe.method == STUDENT else "adapted") or not recipe.members:
        return classifier(recipe, phase, shape, pretrained=False)
    return Ensemble([classifier(recipe.of_member(one), "adapted", shape, pretrained=False) for one in recipe.members])


def untrained(recipe: Recipe) -> Options:
    """The backbone's options without pretrained weights, whose file a recipe may name: a Run has weights of its own."""
    fresh = {"pretrained": False, "weights": None}
    known = backbones.options(recipe.backbone)
    return {**recipe.backbone_options, **{name: value for name, value in fresh.items() if name in known}}


def layers(model: Classifier, name: str, options: Mapping[str, object]) -> list[Layer]:
    """Return the layers of a model's backbone, lowest first, each with its pace; prepares the model for the strategy.

    Parameters outside these layers, such as those of the head and the method, train from the start.

    Raises:
        BadInput: The strategy does not work with this backbone.
    """
    strategy = _module(name)
    if not hasattr(strategy, "prepare"):
        return _layers(model, name, options)
    prefix, net = model.net
    own = {id(p) for p in net.parameters()}
    strategy.prepare(net, **options)
    return [Layer(tuple(prefix + n for n, p in net.named_parameters() if id(p) in own), FROZEN)]


def merge(model: Classifier, name: str) -> None:
    """Merge what a strategy added to a trained model, such as adapters, into the backbone's own weights."""
    if hasattr(_module(name), "merge"):
        _module(name).merge(model.backbone)


class Unfreezer:
    """Keeps each layer of a model frozen until its pace starts.

    Args:
        model: The model with the backbone.
        layers: The backbone's layers, each with its pace.
    """

    def __init__(self, model: Classifier, layers: Sequence[Layer]):
        self.model, self.layers = model, layers
        self.never = {name for name, p in model.backbone.named_parameters() if not p.requires_grad}
        self.frozen: frozenset[str] | None = None

    def __call__(self, progress: float) -> None:
        """Freeze what does not train at a progress in [0, 1], and unfreeze the rest."""
        waiting = {name for layer in self.layers if layer.pace.start > progress for name in layer.names}
        frozen = frozenset(waiting | self.never)  # some networks have parameters that never train
        if frozen != self.frozen:
            self.frozen = frozen
            self.model.freeze(frozen)


def _layers(model: Classifier, name: str, options: Mapping[str, object]) -> list[Layer]:
    from acclimate.backbones.layers import layer_groups

    prefix, net = model.net
    groups = layer_groups(net)
    paces = _module(name).paces(len(groups) + 1, **options)
    return [Layer(tuple(prefix + n for n in group), pace) for group, pace in zip(groups, paces[:-1], strict=True)]


def _module(name: str) -> ModuleType:
    check_name(name)
    return importlib.import_module(f"{__name__}.{name}")
