"""Takes the steps of any method, in Acclimate's loop or in yours."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain
from operator import add

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from acclimate.methods.base import Method
from acclimate.types import Labeled, Losses, Outputs, Turn, Unlabeled

Batch = tuple[Labeled, Unlabeled]
"""A batch of the source and a batch of the target."""


class Driver:
    """Takes the steps of a method: each of its turns moves the parts that the turn names, then `after_step` runs.

    A method without turns needs no driver: add up its losses and step. With a driver MCD, ADDA, SHOT and all others
    work in the same loop.

    Args:
        method: What is minimised.
        optimizer: What moves its parameters.
        forward: Computes the losses; the method itself unless something wraps it, e.g. `DistributedDataParallel`.
        backward: Takes the gradient of a loss.

    Example:
        ::

            driver = Driver(method, optimizer)
            for epoch in range(epochs):
                driver.begin_pass(x for x, in target_loader)
                for i, ((x, y), (xt,)) in enumerate(zip(source_loader, target_loader)):
                    progress = epoch / epochs + i / (epochs * len(target_loader))
                    losses = driver.step((Labeled(x, y), Unlabeled(xt)), progress=progress)
    """

    def __init__(
        self,
        method: Method,
        optimizer: Optimizer,
        *,
        forward: Callable[..., Losses] | None = None,
        backward: Callable[[Tensor], None] = torch.autograd.backward,
    ):
        self.method, self.optimizer = method, optimizer
        self.forward, self.backward = forward or method, backward
        self._turns = _turns(method)
        self._trained = [p for group in optimizer.param_groups for p in group["params"]]

    def begin_pass(self, target: Iterable[Tensor]) -> None:
        """Let the method look at the whole target before a pass over it, as SHOT and NRC do.

        Args:
            target: Batches of inputs; a method that has no use for them leaves them unread.
        """
        self.method.before_pass(outputs_of(self.method.model, target))

    def step(self, *batches: Batch, progress: float) -> Losses:
        """Take one step: every turn once or as often as it repeats.

        Args:
            batches: One, or several whose mean gradient the step takes.
            progress: How much of the training is done, in [0, 1].

        Returns:
            The losses by name, detached; of a method with turns ``"TURN NAME"``.
        """
        losses: Losses = {}
        for turn, still in self._turns:
            for _ in range(turn.repeat):
                now = self._gradient(batches, progress, turn.name)
                for parameter in still:
                    parameter.grad = None
                self.optimizer.step()
                for parameter in self._trained:
                    parameter.grad = None
            prefix = f"{turn.name} " if len(self._turns) > 1 else ""
            losses |= {prefix + name: loss for name, loss in now.items()}
        self.method.after_step(progress)
        return losses

    def _gradient(self, batches: Sequence[Batch], progress: float, turn: str) -> Losses:
        """Take the mean gradient over the batches; return their mean losses."""
        means: Losses = {}
        for source, target in batches:
            losses = self.forward(source, target, progress, turn)
            if len(batches) > 1:
                losses = {name: loss / len(batches) for name, loss in losses.items()}
            total = reduce(add, losses.values())
            if total.requires_grad:  # else nothing moves yet, as with SHOT where the head is to move first
                self.backward(total)
            means = {name: means[name] + loss.detach() if means else loss.detach() for name, loss in losses.items()}
        return means


@torch.no_grad()
def outputs_of(model: nn.Module, batches: Iterable[Tensor], domain: str = "target") -> Iterator[Outputs]:
    """Outputs of a model in evaluation mode for batches of inputs of one domain; the model's mode is restored."""
    mode = model.training
    model.eval()
    try:
        for inputs in batches:
            yield model(inputs, domain)
    finally:
        model.train(mode)


def _turns(method: Method) -> list[tuple[Turn, list[Tensor]]]:
    """Each turn with the parameters that stand still in it."""
    if not method.turns:
        return [(Turn("", (), 1), [])]
    return [(turn, _still(method, turn)) for turn in method.turns]


def _still(method: Method, turn: Turn) -> list[Tensor]:
    moving = {id(p) for p in chain.from_iterable(method.get_submodule(m).parameters() for m in turn.moves)}
    return [p for p in method.parameters() if id(p) not in moving]
