"""Several members of one method as one: their tensors stacked, their losses and gradients taken in one go."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial, reduce
from itertools import chain
from operator import add
from typing import NamedTuple, cast

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from acclimate.methods.base import Method
from acclimate.training.draws import Draw, Given, Recorded
from acclimate.training.driver import outputs_of
from acclimate.training.replay import traced
from acclimate.types import Labeled, Losses, Turn, Unlabeled

Tensors = dict[str, Tensor]
"""By the names of parameters, buffers or options."""
Gradients = Callable[..., tuple[Tensors, Tensors]]
"""Gives gradients by parameter and losses by name."""
PROGRESS = 0.5
"""At which a stack is compared with a single member: losses whose weight grows have one by then."""


class NotStackable(Exception):
    """A method whose members cannot be trained together."""


class Batch(NamedTuple):
    """Of each of ``s`` members a batch.

    Attributes:
        inputs: ``(s, n_s + n_t, …)``, the source's first, or both domains' by themselves.
        labels: The source's, ``(s, n_s)``.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor

    def member(self, i: int) -> tuple[Labeled, Unlabeled]:
        """One member's batch."""
        return _domains(tuple(x[i] for x in self.inputs), self.labels[i])


class Stack:
    """Members that are trained together.

    Each parameter and buffer of ``together`` is that of all members, ``(s, …)``; the members' own are views of it, so
    that a member can be validated, copied or saved at any time. Numbers among a method's options may differ.

    Args:
        members: Methods that are `alike`; their tensors become views.
        generators: The random numbers of each.
    """

    def __init__(self, members: Sequence[Method], generators: Sequence[Generator]):
        self.members, self.generators = list(members), list(generators)
        self.together = copy.deepcopy(self.members[0])
        self._initial = [{name: p.detach().clone() for name, p in m.named_parameters()} for m in self.members]
        for name, parameter in self.together.named_parameters():
            own = [member.get_parameter(name) for member in self.members]
            parameter.data = torch.stack([p.detach() for p in own])
            for p, view in zip(own, parameter.data, strict=True):
                p.data = view
        self.stack_buffers()
        self._factors = _factors(self.members)
        self._of_turn: dict[str, _OfTurn] = {}

    def stack_buffers(self) -> None:
        """Stack buffers that the members may have replaced."""
        self._split: dict[frozenset[str], tuple[Tensors, Tensors]] = {}  # tensors by which parameters move
        for name, _ in list(self.together.named_buffers()):
            whole = torch.stack([member.get_buffer(name) for member in self.members])
            _set_buffer(self.together, name, whole)
            for member, view in zip(self.members, whole, strict=True):
                _set_buffer(member, name, view)

    def begin_pass(self, survey: Sequence[Callable[[], Iterable[Tensor]]]) -> None:
        """Let each member look at its whole target, as `acclimate.Driver.begin_pass`."""
        if type(self.members[0]).before_pass is not Method.before_pass:
            for member, target in zip(self.members, survey, strict=True):
                member.before_pass(outputs_of(member.model, target()))
            self.stack_buffers()

    def after_step(self, progress: float) -> None:
        """What each member does after a step."""
        if type(self.members[0]).after_step is not Method.after_step:
            for member in self.members:
                member.after_step(progress)

    def restore(self, i: int) -> None:
        """Give a member its initial weights again."""
        with torch.no_grad():
            for name, value in self._initial[i].items():
                self.members[i].get_parameter(name).copy_(value)

    def prepare(self, turn: Turn, batch: Batch) -> None:
        """Find what takes a turn's gradients for batches like this one.

        Raises:
            NotStackable: Together the members would get other gradients than alone, or one alone gets none.
        """
        try:
            self._of_turn[turn.name] = self._prepare(turn, batch)
        except RuntimeError as error:
            raise NotStackable from error

    def gradients(self, turn: Turn, batch: Batch, progress: float) -> tuple[Tensors, Tensors]:
        """Gradients by parameter, ``(s, …)``, and losses by name, ``(s,)``, of a turn that is prepared."""
        prepared = self._of_turn[turn.name]
        noise = tuple(torch.stack([draw(g) for g in self.generators]) for draw in prepared.draws)
        if prepared.moving not in self._split:
            self._split[prepared.moving] = self._tensors(prepared.moving)
        with torch.no_grad():
            split = self._split[prepared.moving]
            return prepared.function(*split, self._factors, noise, *batch, prepared.clock(progress))

    def fails(self, i: int, turn: Turn, batch: Batch, progress: float) -> bool:
        """Whether one member alone fails, too."""
        try:
            copy.deepcopy(self.members[i])(*batch.member(i), progress, turn.name)
        except RuntimeError:
            return True
        return False

    def _tensors(self, moving: frozenset[str]) -> tuple[Tensors, Tensors]:
        """Parameters of these names, and all other tensors."""
        parameters = {name: p.detach() for name, p in self.together.named_parameters()}
        rest = {name: p for name, p in parameters.items() if name not in moving}
        return {name: parameters[name] for name in moving}, rest | dict(self.together.named_buffers())

    def _prepare(self, turn: Turn, batch: Batch) -> "_OfTurn":
        """What takes a turn's gradients: a trace if it can be traced, and in any case what agrees with one member."""
        alone = _Alone(self.members[0], self.generators[0], turn, batch)
        function = partial(self._function, turn.name, bool(alone.draws))
        for traces in (True, False):
            moving, rest = self._tensors(alone.moving)
            rest = {name: value.clone() for name, value in rest.items()}
            noise = tuple(torch.stack([drawn] * len(self.members)) for drawn in alone.drawn)
            clock = _Clock() if traces else float
            arguments = moving, rest, self._factors, noise, *batch, clock(PROGRESS)
            try:
                own = {name: value.clone() for name, value in rest.items()}
                found = cast("Gradients", traced(function, moving, own, *arguments[2:])) if traces else function
                with torch.no_grad():
                    gradients, _ = found(*arguments)
            except (RuntimeError, TypeError, ValueError, AssertionError):
                continue
            if alone.agrees(gradients):
                return _OfTurn(alone.moving, alone.draws, found, clock)
        raise NotStackable

    def _function(
        self, turn: str, draws: bool, moving: Tensors, rest: Tensors, factors: Tensors,
        noise: tuple[Tensor, ...], inputs: tuple[Tensor, ...], labels: Tensor, progress: float | Tensor,
    ) -> tuple[Tensors, Tensors]:  # fmt: skip
        def of_one(
            moving: Tensors, rest: Tensors, factors: Tensors, noise: tuple[Tensor, ...],
            inputs: tuple[Tensor, ...], labels: Tensor,
        ) -> tuple[Tensor, Losses]:  # fmt: skip
            batch = (*_domains(inputs, labels), progress, turn)
            with _with_options(self.together, factors), Given(noise) if draws else nullcontext():
                losses: Losses = functional_call(self.together, {**rest, **moving}, batch)
            return reduce(add, losses.values()), losses

        taken = vmap(grad_and_value(of_one, has_aux=True), randomness="error")
        gradients, (_, losses) = taken(moving, rest, factors, noise, inputs, labels)
        return gradients, losses


class _OfTurn(NamedTuple):
    """How a turn's gradients are taken."""

    moving: frozenset[str]
    draws: Sequence[Draw]
    function: Gradients
    clock: Callable[[float], float | Tensor]


class _Clock:
    """The progress as a tensor, which a trace does not take for a constant."""

    def __init__(self) -> None:
        self.now = torch.zeros(())

    def __call__(self, progress: float) -> Tensor:
        return self.now.fill_(progress)


class _Alone:
    """One turn of one member, as it is trained without a stack.

    Attributes:
        draws: Its random numbers, in order.
        drawn: Their values in this turn.
        moving: The parameters that get a gradient and that the turn moves.
    """

    def __init__(self, member: Method, generator: Generator, turn: Turn, batch: Batch):
        method = copy.deepcopy(member)
        generator = generator.clone_state()
        with Recorded(generator) as recorded:
            losses = method(*batch.member(0), PROGRESS, turn.name)
        torch.autograd.backward(reduce(add, losses.values()))
        self.draws, self.drawn = recorded.draws, recorded.drawn
        named = [method.get_submodule(part) for part in turn.moves] or [method]
        trained = {id(p) for p in method.trainable()} & {id(p) for m in named for p in m.parameters()}
        self.gradients = {
            name: p.grad for name, p in method.named_parameters() if id(p) in trained and p.grad is not None
        }
        self.moving = frozenset(self.gradients)

    def agrees(self, gradients: Tensors) -> bool:
        """Whether gradients of a stack are this member's; one that is 0 but for rounding need not be."""
        rounding = 1e-6 * max((float(own.abs().max()) for own in self.gradients.values()), default=0.0)
        return all(
            torch.allclose(gradients[name][0], own, rtol=1e-3, atol=1e-5 * float(own.abs().max()) + rounding + 1e-8)
            for name, own in self.gradients.items()
        )


def alike(a: Method, b: Method) -> bool:
    """Whether two methods can be members of one stack: they differ in tensors and in numbers among their options."""
    return type(a) is type(b) and _form(a) == _form(b)


def _form(method: Method) -> object:
    tensors = chain(method.named_parameters(), method.named_buffers())
    shapes = [(name, t.shape, t.dtype, t.requires_grad) for name, t in tensors]
    parts = [(name, type(part), _plain(vars(part), own=part is method)) for name, part in method.named_modules()]
    return shapes, parts


def _plain(attributes: Mapping[str, object], *, own: bool) -> dict[str, object]:
    """What can be compared of a module's attributes; of the method's own numbers it is only that they are numbers."""
    compared = (bool, int, float, str, tuple, list, dict, frozenset, type(None))
    public = {name: value for name, value in attributes.items() if not name.startswith("_")}
    return {
        name: float if own and type(value) is float else value if isinstance(value, compared) else id(value)
        for name, value in public.items()
    }


def _factors(members: Sequence[Method]) -> Tensors:
    """The options, numbers by name, that differ between members, ``(s,)``."""
    numbers = [{name: value for name, value in vars(m).items() if type(value) is float} for m in members]
    device = next((p.device for p in members[0].parameters()), None)
    return {
        name: torch.tensor([own[name] for own in numbers], device=device)
        for name in numbers[0]
        if len({own[name] for own in numbers}) > 1
    }


@contextmanager
def _with_options(method: Method, options: Tensors) -> Iterator[None]:
    """A method with tensors in the place of some of its numbers while open."""
    own = {name: vars(method)[name] for name in options}
    vars(method).update(options)
    try:
        yield
    finally:
        vars(method).update(own)


def _domains(inputs: Sequence[Tensor], labels: Tensor) -> tuple[Labeled, Unlabeled]:
    """A member's batch of each domain."""
    n = len(labels)
    source, target = inputs if len(inputs) == 2 else (inputs[0][:n], inputs[0][n:])
    return Labeled(source, labels), Unlabeled(target)


def _set_buffer(method: nn.Module, name: str, value: Tensor) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(method.get_submodule(parent), leaf, value)
