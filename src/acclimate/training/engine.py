"""The one training loop. It knows nothing of any method, and no method knows of it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypedDict

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from acclimate.errors import BadInput
from acclimate.finetune import FROZEN, Layer
from acclimate.methods.base import Method
from acclimate.recipe import Training
from acclimate.training.driver import Driver
from acclimate.types import Labeled, Unlabeled

Rate = Callable[[float], float]
"""What the learning rate is multiplied with at a progress in [0, 1]."""
Batches = Iterator[tuple[Tensor, ...]]
"""Inputs and labels of the source with inputs of the target, without end."""

RATES: dict[str, Rate] = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    # Ganin et al., JMLR 2016, section 5.2.2: μ₀ / (1 + 10 p)^0.75
    "dann": lambda progress: (1 + 10 * progress) ** -0.75,
}


LOWER = "lower the rate with --set train.lr=…"
"""What helps against it."""


class Diverged(BadInput):
    """A loss, or a weight, that is no longer a finite number."""


class Step(NamedTuple):
    """One step: how many are done with it, and its losses."""

    done: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Schedule:
    """What happens when in a training.

    Attributes:
        steps: When progress is 1.
        rate: The learning rate over progress, as a factor.
        thaw: Called with the progress before each step; freezes the layers that do not train yet.
        pass_steps: Steps of a pass over the target.
        accumulate: Batches whose mean gradient one step takes.
        read_every: Steps between readings of the losses, which make a GPU wait; they come late, but all come.
    """

    steps: int
    rate: Rate = RATES["constant"]
    thaw: Callable[[float], None] = lambda progress: None
    pass_steps: int = 1
    accumulate: int = 1
    read_every: int = 1

    def reads_at(self, done: int) -> bool:
        """Whether the losses are read after ``done`` steps, wherever the training began."""
        return done % self.read_every == 0 or done == self.steps


def run(
    driver: Driver,
    batches: Batches,
    schedule: Schedule,
    *,
    start: int = 0,
    survey: Callable[[], Iterable[Tensor]] = tuple,
) -> Iterator[Step]:
    """Train from step ``start`` to the schedule's last, yielding the losses of each.

    A generator: a progress bar, a checkpoint, a log or an early stop is written around this loop, not into it. All
    state is in the method, the optimizer and the number of steps done.

    Args:
        driver: The method with its optimizer.
        batches: From step ``start`` on; an empty tensor stands for a domain that the method does not need.
        schedule: What happens when.
        start: Steps already done.
        survey: Gives batches of the whole target, for methods that look at it before each pass.

    Raises:
        Diverged: A loss is not finite.
    """
    unread: list[tuple[int, dict[str, Tensor]]] = []
    for step in range(start, schedule.steps):
        if step % schedule.pass_steps == 0:
            driver.begin_pass(survey())
        parts = [(Labeled(x, y), Unlabeled(xt)) for x, y, xt in islice(batches, schedule.accumulate)]
        progress = step / schedule.steps
        set_rate(driver.optimizer, schedule.rate(progress))
        schedule.thaw(progress)
        unread.append((step + 1, driver.step(*parts, progress=progress)))
        if schedule.reads_at(step + 1):
            yield from _read(unread)
            unread = []


class Group(TypedDict):
    """Parameters of one learning rate; ``base`` is the rate that the schedule multiplies."""

    params: list[nn.Parameter]
    lr: float
    base: float


def make_optimizer(method: Method, training: Training, layers: Sequence[Layer] = ()) -> Optimizer:
    """The optimizer that ``training`` asks for, in one fused call a step.

    Args:
        method: Whose parameters it moves, but for those that never do.
        training: Rates, decay, kind.
        layers: Those of the backbone that have a pace of their own; all else goes at the rate of the backbone or, if
            it is not part of it, of the head.
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
    merged = [dict(group) for group in _merged(groups)]
    if training.optimizer == "sgd":
        return SGD(merged, lr=lr, momentum=training.momentum, weight_decay=decay, fused=True)
    kind = Adam if training.optimizer == "adam" else AdamW
    return kind(merged, lr=lr, weight_decay=decay, fused=True)


def _merged(groups: Iterable[tuple[list[nn.Parameter], float, float]]) -> list[Group]:
    """Parameters of one rate as one group, since each is a call of its own; but not those that move later.

    Fused SGD takes the momentum of a group's parameters to begin at the same step.
    """
    of: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameters, rate, start in groups:
        of.setdefault((rate, start), []).extend(parameters)
    return [{"params": some, "lr": rate, "base": rate} for (rate, _), some in of.items() if some]


def set_up(fabric: Fabric, method: Method, optimizer: Optimizer) -> Driver:
    """The driver of a method on the devices, processes and precision of ``fabric``."""
    if fabric.world_size == 1 and fabric.strategy.precision.precision == "32-true":
        # nothing is to be shared or converted, and on a small net Fabric's wrappers are a tenth of a step
        return Driver(method, optimizer)
    forward, moved = fabric.setup(method, optimizer)
    return Driver(method, moved, forward=forward, backward=fabric.backward)


def on_device(fabric: Fabric, batches: Batches) -> Batches:
    """The same batches on the device of ``fabric``."""
    if fabric.device.type == "cpu":
        return batches
    # pinned by the loader, so that the copy runs beside the step before
    return (tuple(part.to(fabric.device, non_blocking=True) for part in batch) for batch in batches)


def set_rate(optimizer: Optimizer, factor: float) -> None:
    """Set each group's learning rate to a factor of its base."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor


def _read(unread: list[tuple[int, dict[str, Tensor]]]) -> Iterator[Step]:
    for done, losses in unread:
        values = {name: loss.item() for name, loss in losses.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise Diverged(f"loss {name!r} is {value} at step {done}; {LOWER}")
        yield Step(done, values)
