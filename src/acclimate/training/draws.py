"""The random numbers of a loss: what it draws, from whose generator, and the same again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Generator, Tensor
from torch.nn.functional import dropout
from torch.overrides import TorchFunctionMode

Draw = Callable[[Generator], Tensor]
"""Draws random numbers of the same kind and shape each time."""
DRAWING: dict[object, Callable[..., Tensor]] = {torch.rand: torch.rand, torch.randn: torch.randn}
DRAWING_LIKE: dict[object, Callable[..., Tensor]] = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}


class _Drawing(TorchFunctionMode):
    """Answers what draws random numbers while open; anything else is done as usual."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Take the next numbers for a draw."""
        draw = draw_of(func, args, kwargs or {})
        return func(*args, **kwargs or {}) if draw is None else _result(func, args, self.next(draw))

    def next(self, draw: Draw) -> Tensor:
        """The numbers of the next draw."""
        raise NotImplementedError


class Recorded(_Drawing):
    """Takes random numbers from a generator while open, and keeps what was drawn.

    Args:
        generator: Draws them.

    Attributes:
        draws: How each was drawn, in order.
        drawn: Their values.
    """

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator
        self.draws: list[Draw] = []
        self.drawn: list[Tensor] = []

    def next(self, draw: Draw) -> Tensor:
        """Draw, and keep it."""
        self.draws.append(draw)
        self.drawn.append(draw(self.generator))
        return self.drawn[-1]


class Given(_Drawing):
    """Takes random numbers from those given while open.

    Args:
        drawn: Numbers in the order in which they are drawn.
    """

    def __init__(self, drawn: Iterable[Tensor]):
        super().__init__()
        self.drawn = iter(drawn)

    def next(self, draw: Draw) -> Tensor:
        """Take the next."""
        return next(self.drawn)


def draw_of(func: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> Draw | None:
    """How to draw what a call draws: ``rand``, ``randn``, their ``_like`` forms, and dropout; none for other calls."""
    if func in DRAWING:
        return lambda generator: DRAWING[func](*args, generator=generator, **kwargs)
    if func in DRAWING_LIKE:
        x = cast("Tensor", args[0])
        return _filled(DRAWING_LIKE[func], x)
    if func is dropout:
        return _dropout(*args, **kwargs)
    return None


def _filled(draw: Callable[..., Tensor], x: Tensor) -> Draw:
    shape, kind, device = x.shape, x.dtype, x.device
    return lambda generator: draw(shape, generator=generator, dtype=kind, device=device)


def _dropout(x: object, p: object = 0.5, training: object = True, inplace: object = False) -> Draw | None:
    """How to draw the factors of a dropout layer as torch draws them; none if nothing is dropped."""
    if not isinstance(x, Tensor) or not isinstance(p, float) or not training or not 0 < p < 1:
        return None
    kept, shape, kind, device = 1 - p, x.shape, x.dtype, x.device
    return lambda g: torch.empty(shape, dtype=kind, device=device).bernoulli_(kept, generator=g).div_(kept)


def _result(func: Callable[..., object], args: Sequence[object], drawn: Tensor) -> Tensor:
    return cast("Tensor", args[0]) * drawn if func is dropout else drawn
