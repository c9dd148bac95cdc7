"""A classifier cut in two where its training begins: the layers that never move, and those above them."""

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from acclimate.nn.classifier import Bottlenecked, Classifier

RTOL, ATOL = 1e-3, 1e-4
"""How far features of the two halves may be from those of the whole."""


class Below(nn.Module):
    """The lower layers: inputs to what the first trained layer takes, or to features if none of the backbone trains.

    Args:
        model: Whose layers they are.
        first: The name of the first module above them, in the backbone without its bottleneck.
        names: Names of the lower modules; by default the whole backbone.

    Attributes:
        lower: The normalisation and the lower modules.
    """

    def __init__(self, model: Classifier, *, first: str | None = None, names: Sequence[str] = ("",)):
        super().__init__()
        self.normalize, self.net, self.first = model.normalize, model.net[1], first
        self.lower = (self.normalize, *(self.net.get_submodule(name) for name in names))

    def forward(self, inputs: Tensor) -> Tensor:
        """One row ``(n, d)`` for each of the inputs."""
        x = self.normalize(inputs)
        if self.first is None:
            features: Tensor = self.net(x)
            return features
        with _taken_by(self.net, [self.first]) as taken:
            self.net(x)
        return taken[self.first].flatten(1)


class Cut(NamedTuple):
    """The two halves, which share the model's parameters.

    Attributes:
        below: Inputs to rows ``(n, d)``.
        above: Those rows to outputs.
        width: ``d``; 0 if no inputs were tried.
    """

    below: Below
    above: Classifier
    width: int = 0


def cut_at_features(model: Classifier) -> Cut:
    """Cut a model between its backbone and what stands on it."""
    return Cut(Below(model), model.on_features())


def cut(model: Classifier, frozen: Collection[str], inputs: Tensor) -> Cut | None:
    """Cut a model where its training begins.

    Args:
        model: A classifier.
        frozen: Names of those parameters of its backbone that never move.
        inputs: A few inputs, on which the halves are compared with the whole.

    Returns:
        The halves, in the model's mode; None if there is no such place, as where an upper layer also takes what is far
        below it.
    """
    mode = model.training
    try:
        found = _cut(model.eval(), frozen, inputs)
    finally:
        model.train(mode)
    if found:
        found.above.train(mode)
    return found


@torch.no_grad()
def _cut(model: Classifier, frozen: Collection[str], inputs: Tensor) -> Cut | None:
    prefix, net = model.net
    still = {name.removeprefix(prefix) for name in frozen}
    with _taken_by(net, [name for name, _ in net.named_modules() if name]) as taken:
        features = model(inputs).features
    first = next((name for name in taken if _trains(net.get_submodule(name), name, still)), None)
    if first is None:
        return None
    reached = list(taken)[: list(taken).index(first)]
    names = _uppermost([name for name in reached if not f"{first}.".startswith(f"{name}.")])
    if not names:
        return None
    below = Below(model, first=first, names=names)
    above = _above(model, names, taken[first].shape[1:])
    rows = below(inputs)
    try:
        same = torch.allclose(above(rows).features, features, rtol=RTOL, atol=ATOL)
    except (RuntimeError, ValueError, TypeError, IndexError):  # a layer met a shape that it does not take
        return None
    return Cut(below, above, rows.shape[1]) if same else None


@contextmanager
def _taken_by(net: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the first input of the named modules while open, in the order in which they are reached."""
    taken: dict[str, Tensor] = {}

    def keep(name: str, args: tuple[object, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            taken.setdefault(name, args[0])

    hooks = [
        net.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: keep(name, args)) for name in names
    ]
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def _trains(module: nn.Module, name: str, still: Collection[str]) -> bool:
    """Whether all of a module's parameters are trained."""
    own = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
    return bool(own) and not any(parameter in still for parameter in own)


def _uppermost(names: Sequence[str]) -> list[str]:
    """The names that are not inside another."""
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]


def _above(model: Classifier, names: Sequence[str], shape: torch.Size) -> Classifier:
    """The model without its lower modules; it takes rows and gives them ``shape``."""
    net = _without(model.net[1], names)
    if isinstance(model.backbone, Bottlenecked):
        net = _with(model.backbone, {"net": net})
    twin = _with(model, {"normalize": nn.Unflatten(1, shape), "backbone": net})
    assert isinstance(twin, Classifier)
    return twin


def _without(module: nn.Module, names: Sequence[str], prefix: str = "") -> nn.Module:
    """A copy that shares all parameters, in which the named modules pass on what they take."""
    inside = [name for name, _ in module.named_children() if any(n.startswith(f"{prefix}{name}.") for n in names)]
    whole = [name for name, _ in module.named_children() if f"{prefix}{name}" in names]
    changed = {name: _without(module.get_submodule(name), names, f"{prefix}{name}.") for name in inside}
    return _with(module, changed | {name: nn.Identity() for name in whole})


def _with(module: nn.Module, changed: dict[str, nn.Module]) -> nn.Module:
    twin = copy.copy(module)
    twin._modules = {**module._modules, **changed}
    return twin
