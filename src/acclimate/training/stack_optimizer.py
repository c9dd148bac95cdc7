"""The optimizer of a stack: each member at its own rates, and with a state that it could be trained on with alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from acclimate.training.engine import make_optimizer, set_rate
from acclimate.training.stack import Stack, Tensors
from acclimate.training.train import Spec


class Piece(NamedTuple):
    """Neighbours in a stack that train at one rate: a view of one of their parameters."""

    name: str
    members: slice
    view: Tensor


class StackOptimizer:
    """One optimizer for all members, with groups of its own for neighbours of one rate.

    Args:
        stack: The members.
        specs: Their trainings; those of the same rates are next to each other.
    """

    def __init__(self, stack: Stack, specs: Sequence[Spec]):
        starts = [i for i, spec in enumerate(specs) if i == 0 or spec.training != specs[i - 1].training]
        names = {id(p): name for name, p in stack.together.named_parameters()}
        self.groups: list[list[Piece]] = []
        """Of each group what it moves."""
        optimizers = []
        for start, stop in zip(starts, [*starts[1:], len(specs)], strict=True):
            own = make_optimizer(stack.together, specs[start].training, specs[start].layers)
            for group in own.param_groups:
                moved = [Piece(names[id(p)], slice(start, stop), p.detach()[start:stop]) for p in group["params"]]
                group["params"] = [piece.view for piece in moved]
                self.groups.append(moved)
            optimizers.append(own)
        self.all, *others = optimizers
        for group in (group for other in others for group in other.param_groups):
            self.all.add_param_group(group)

    def set_rate(self, factor: float) -> None:
        """Set each group's learning rate to a factor of its base."""
        set_rate(self.all, factor)

    def step(self, gradients: Tensors) -> None:
        """Move what has a gradient, ``(s, …)`` by the parameter's name."""
        for name, members, view in (piece for group in self.groups for piece in group):
            view.grad = gradients[name][members].contiguous() if name in gradients else None
        self.all.step()

    def reset(self, i: int) -> None:
        """Forget what a member's gradients were."""
        for _, pieces in self._of(i):
            for _, members, view in pieces:
                for key, value in self.all.state[view].items():
                    if key in _of_members(self.all.state[view]):
                        value[i - members.start].zero_()

    def state_of(self, i: int) -> dict[str, Any]:
        """What a member's own optimizer would give as its ``state_dict``."""
        state: dict[int, object] = {}
        groups: list[dict[str, object]] = []
        for settings, pieces in self._of(i):
            first = sum(len(cast("list[int]", group["params"])) for group in groups)
            numbers = list(range(first, first + len(pieces)))
            for number, (_, members, view) in zip(numbers, pieces, strict=True):
                if found := self.all.state.get(view):
                    own = _of_members(found)
                    state[number] = {k: v[i - members.start].clone() if k in own else v for k, v in found.items()}
            groups.append({**settings, "params": numbers})
        return {"state": state, "param_groups": groups}

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Continue from the states of the members' own optimizers."""
        for pieces in self.groups:
            members = pieces[0].members
            first = next(number for number, piece in self._numbered(members.start) if piece is pieces[0])
            for number, piece in enumerate(pieces, first):
                own = [state["state"].get(number, {}) for state in states[members]]
                shared = {k: v for k, v in own[0].items() if k not in _of_members(own[0])}
                stacked = {k: torch.stack([one[k] for one in own]) for k in _of_members(own[0])}
                if own[0]:
                    found = {**shared, **stacked}.items()
                    self.all.state[piece.view] = {k: v.to(piece.view.device) for k, v in found}

    def _numbered(self, i: int) -> Iterator[tuple[int, Piece]]:
        """A member's pieces, numbered as its own optimizer would."""
        return enumerate(piece for _, pieces in self._of(i) for piece in pieces)

    def _of(self, i: int) -> Iterator[tuple[dict[str, Any], list[Piece]]]:
        """The groups that move a member: their settings, and what they move."""
        for group, pieces in zip(self.all.param_groups, self.groups, strict=True):
            if pieces[0].members.start <= i < pieces[0].members.stop:
                yield {k: v for k, v in group.items() if k != "params"}, pieces


def _of_members(state: Mapping[str, object]) -> set[str]:
    """What each member has its own of; the number of steps is the same for all."""
    return {key for key, value in state.items() if isinstance(value, Tensor) and key != "step"}
