"""The one training loop. It knows nothing of any method, and no method knows of it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain, islice
from operator import add
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from acclimate.augment.augmentation import PLAIN, Augment
from acclimate.data.loaders import Loader, pairs
from acclimate.errors import BadInput
from acclimate.finetune import FROZEN, Layer
from acclimate.methods.base import Method
from acclimate.recipe import Training
from acclimate.types import Labeled, Losses, Outputs, Turn, Unlabeled

Rate = Callable[[float], float]
"""What the learning rate is multiplied with at a progress in [0, 1]."""

RATES: dict[str, Rate] = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    # Ganin et al., JMLR 2016, section 5.2.2: μ₀ / (1 + 10 p)^0.75
    "dann": lambda progress: (1 + 10 * progress) ** -0.75,
}


class Diverged(BadInput):
    """A loss that is no number any more."""


class Step(NamedTuple):
    """What one step gave: how many are done with it, and its losses."""

    done: int
    losses: dict[str, float]


def fit(
    fabric: Fabric,
    method: Method,
    optimizer: Optimizer,
    source: Loader,
    target: Loader,
    *,
    steps: int,
    start: int = 0,
    rate: Rate = RATES["constant"],
    survey: Callable[[], Iterable[Outputs]] = tuple,
    pass_steps: int = 1,
    accumulate: int = 1,
    read_every: int = 1,
    compiled: bool = False,
    thaw: Callable[[float], None] = lambda progress: None,
    augment: Augment = PLAIN,
) -> Iterator[Step]:
    """Train from step ``start`` to ``steps``, yielding the losses of each.

    A generator: who wants a progress bar, a checkpoint, a log or an early stop writes it around this loop,
    not into it. All state is in ``method``, ``optimizer`` and the number of steps done.

    Args:
        fabric: Devices, processes, precision.
        method: What is minimised, on its device.
        optimizer: What moves its parameters.
        source: Batches with labels; an empty batch stands for a domain the method does not need.
        target: Batches without.
        steps: When progress is 1.
        start: Steps already done.
        rate: The schedule of the learning rate.
        survey: Gives what the model says of the whole target, for methods that look at it before each pass.
        pass_steps: Steps of a pass over the target.
        accumulate: Batches whose mean gradient one step takes.
        read_every: Steps between readings of the losses, which make a GPU wait; they come late, but all come.
        compiled: Have torch compile the method.
        thaw: Told the progress before each step; has layers stand still until their time has come.
        augment: What is done to the batches before the method sees them, on its device.

    Raises:
        Diverged: A loss is not finite.
    """
    turns = _turns(method)
    module: nn.Module = method
    if compiled:
        module.compile()
    thaw(1.0)  # of what never moves no process tells another
    forward, backward, optimizer = _set_up(fabric, module, optimizer)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    batches = augment(_on_device(fabric, pairs(source, target, start * accumulate)))
    unread: list[tuple[int, dict[str, Tensor]]] = []
    for step in range(start, steps):
        if step % pass_steps == 0:
            method.before_pass(survey())
        parts, progress = list(islice(batches, accumulate)), step / steps  # all turns see the same
        _set_rate(optimizer, rate(progress))
        thaw(progress)
        losses: dict[str, Tensor] = {}
        for turn, still in turns:
            for _ in range(turn.repeat):
                now = _gradient(forward, backward, parts, progress, turn.name)
                for parameter in still:
                    parameter.grad = None
                optimizer.step()
                for parameter in trained:
                    parameter.grad = None
            prefix = f"{turn.name} " if len(turns) > 1 else ""
            losses |= {prefix + name: loss for name, loss in now.items()}
        method.after_step(progress)
        unread.append((step + 1, losses))
        if len(unread) >= read_every or step + 1 == steps:
            yield from _read(unread)
            unread = []


def _gradient(
    forward: Callable[..., Losses],
    backward: Callable[[Tensor], None],
    batches: Sequence[tuple[Tensor, ...]],
    progress: float,
    turn: str,
) -> Losses:
    """Take the mean gradient over the batches; their mean losses."""
    means: Losses = {}
    for inputs, labels, others in batches:
        losses = forward(Labeled(inputs, labels), Unlabeled(others), progress, turn)
        if len(batches) > 1:
            losses = {name: loss / len(batches) for name, loss in losses.items()}
        backward(reduce(add, losses.values()))
        means = {name: means[name] + loss.detach() if means else loss.detach() for name, loss in losses.items()}
    return means


def make_optimizer(method: Method, training: Training, layers: Sequence[Layer] = ()) -> Optimizer:
    """The optimizer that ``training`` asks for, in one fused call a step.

    Args:
        method: Whose parameters it moves, but for those that never do.
        training: Rates, decay, kind.
        layers: Those of the backbone that have a pace of their own; all else goes at the rate of the backbone or, if
            it is no part of it, of the head.
    """
    lr, decay = (training.lr or 1e-3) * method.rate, training.weight_decay or 0.0
    faster = training.head_lr or 1.0
    named = dict(method.model.backbone.named_parameters())
    moving = [([named[n] for n in names], pace) for names, pace in layers if pace != FROZEN]
    groups = [([p for p in some if p.requires_grad], lr * pace.rate, pace.start) for some, pace in moving]
    taken = {id(named[n]) for names, _ in layers for n in names}
    others = [p for p in method.trainable() if id(p) not in taken]
    of_backbone = {id(p) for p in named.values()} if not layers else set()
    groups += [([p for p in others if id(p) in of_backbone], lr, 0.0)]
    groups += [([p for p in others if id(p) not in of_backbone], lr * faster, 0.0)]
    merged = _merged(groups)
    if training.optimizer == "sgd":
        return SGD(merged, lr=lr, momentum=training.momentum, weight_decay=decay, fused=True)
    kind = Adam if training.optimizer == "adam" else AdamW
    return kind(merged, lr=lr, weight_decay=decay, fused=True)


def _merged(groups: Iterable[tuple[list[nn.Parameter], float, float]]) -> list[dict[str, Any]]:
    """Parameters of one rate as one group, since each is a call of its own; but not those that move later.

    Fused SGD takes the momentum of a group's parameters to begin at the same step.
    """
    of: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameters, rate, start in groups:
        of.setdefault((rate, start), []).extend(parameters)
    return [{"params": some, "lr": rate, "base": rate} for (rate, _), some in of.items() if some]


def _set_up(
    fabric: Fabric, module: nn.Module, optimizer: Optimizer
) -> tuple[Callable[..., Losses], Callable[[Tensor], None], Optimizer]:
    """What gives the losses, what takes the gradient, and what moves the weights."""
    if fabric.world_size == 1 and fabric.strategy.precision.precision == "32-true":
        # nothing is to be shared or converted, and on a small net Fabric's wrappers are a tenth of a step
        return module, torch.autograd.backward, optimizer
    forward, moved = fabric.setup(module, optimizer)
    return forward, fabric.backward, moved


def _turns(method: Method) -> list[tuple[Turn, list[Tensor]]]:
    """Each turn with the parameters that stand still in it."""
    if not method.turns:
        return [(Turn("", (), 1), [])]
    return [(turn, _still(method, turn)) for turn in method.turns]


def _still(method: Method, turn: Turn) -> list[Tensor]:
    moving = {id(p) for p in chain.from_iterable(method.get_submodule(m).parameters() for m in turn.moves)}
    return [p for p in method.parameters() if id(p) not in moving]


def _on_device(fabric: Fabric, batches: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    if fabric.device.type == "cpu":
        return batches
    # pinned by the loader, so that the copy runs beside the step before
    return (tuple(part.to(fabric.device, non_blocking=True) for part in batch) for batch in batches)


def _set_rate(optimizer: Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def _read(unread: list[tuple[int, dict[str, Tensor]]]) -> Iterator[Step]:
    for done, losses in unread:
        values = {name: loss.item() for name, loss in losses.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise Diverged(f"loss {name!r} is {value} at step {done}; lower the rate with --set train.lr=…")
        yield Step(done, values)
