"""A backbone from outside the package: a plug-in's, or ``MODULE:NAME``."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Built, InputKind, Shape, normalisation
from acclimate.errors import BadInput
from acclimate.nn import Classifier


class Outside:
    """What one of our files of this folder is, round somebody else's function or class.

    The function takes a `Shape` and the number of outputs, as the ``build`` of our own backbones, and returns a `Built`
    or a `Classifier`; or it takes neither, as an ``nn.Module`` class may, and returns a module from inputs to features
    ``(n, d)``. Its keyword-only arguments are options. Images reach such a module as floats, standardised by channel.

    Args:
        name: As a recipe names it.
        make: The function or class.

    Raises:
        BadInput: It cannot be called.
    """

    INPUT_KIND: InputKind | None = None

    def __init__(self, name: str, make: object):
        if not callable(make):
            raise BadInput(f"backbone {name}: not a function or class that builds a module")
        self.name, self.make = name, make
        self.build = self._with_shape if _takes_shape(make) else self._of_features(make)

    def is_pretrained(self, **options: object) -> bool:
        """Whether it starts from pretrained weights: its own ``pretrained`` attribute tells, false by default."""
        return bool(getattr(self.make, "pretrained", False))

    @property
    def _with_shape(self) -> Callable[..., Built]:
        make = self.make

        def build(shape: Shape, n_classes: int, **options: object) -> Built:
            built = make(shape, n_classes, **options)
            if isinstance(built, Built):
                return built
            if isinstance(built, Classifier):
                return Built(built, {})
            raise BadInput(f"backbone {self.name}: returns {type(built).__name__}, not a Classifier")

        build.__dict__["__signature__"] = inspect.signature(make)
        return build

    def _of_features(self, make: Callable[..., object]) -> Callable[..., Built]:
        def build(shape: Shape, n_classes: int, **options: object) -> Built:
            net = make(**options)
            if not isinstance(net, nn.Module):
                raise BadInput(f"backbone {self.name}: returns {type(net).__name__}, not an nn.Module")
            normalize = normalisation("standard", shape) if shape.images else None
            d = _feature_dimension(self.name, net, shape)
            head = nn.Linear(d, n_classes)
            return Built(Classifier(net, head, n_features=d, n_classes=n_classes, normalize=normalize), {})

        own = [p for p in inspect.signature(make).parameters.values() if p.kind is p.KEYWORD_ONLY]
        build.__dict__["__signature__"] = inspect.Signature(own)
        return build


def _takes_shape(make: Callable[..., object]) -> bool:
    parameters = inspect.signature(make).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return len(needed) >= 2


@torch.no_grad()
def _feature_dimension(name: str, net: nn.Module, shape: Shape) -> int:
    row = (3, shape.size, shape.size) if shape.images else (shape.n_features,)
    mode = net.training
    try:
        features = net.eval()(torch.zeros(2, *row))
    except (RuntimeError, ValueError) as error:
        raise BadInput(f"backbone {name}: fails on inputs of shape {row} ({error!s:.120})") from error
    net.train(mode)
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise BadInput(f"backbone {name}: does not return features (n, d); end it with pooling and Flatten()")
    return features.shape[1]
