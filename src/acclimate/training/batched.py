"""Several trainings at once: seeds and settings of one method as one batched model where its losses allow it."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from acclimate.cpu import keep_freed_memory
from acclimate.data.inputs import DenseInputs, Index, Inputs
from acclimate.data.loaders import Loader
from acclimate.errors import first_line
from acclimate.finetune import FROZEN
from acclimate.methods.base import Method
from acclimate.recipe import Training
from acclimate.training.checkpoint import NoCheckpoint, StackCheckpoint, State, explain_damage
from acclimate.training.engine import LOWER, Diverged, Schedule, Step
from acclimate.training.inference import in_batches, validate
from acclimate.training.stack import Batch, NotStackable, Stack, Tensors, alike
from acclimate.training.stack_optimizer import StackOptimizer
from acclimate.training.train import (
    Due,
    Snapshots,
    Spec,
    Watcher,
    copied,
    finish,
    loader_of,
    not_finite,
    own_copy,
    schedule_of,
    train,
)
from acclimate.types import Turn

MOST_NUMBERS = 2**24
"""Weights of one stack; with their gradients and an optimizer's state they take 256 MB."""
MOST_ROWS = 2**27
"""Numbers of all rows that are copied into one tensor, 512 MB."""
OWN_SETTINGS = {"lr", "head_lr", "weight_decay"}
"""Of the training, those that each member of a stack may have its own of."""


@dataclass(frozen=True)
class Trained:
    """What one of several trainings came to.

    Attributes:
        method: The trained method.
        snapshots: What it was on the way, by steps done.
    """

    method: Method
    snapshots: Mapping[int, Method] = field(default_factory=dict)


def train_many(
    fabric: Fabric,
    specs: Sequence[Spec],
    *,
    watchers: Sequence[Sequence[Watcher]] = (),
    snapshots: Collection[int] = (),
) -> list[Trained | Diverged]:
    """Train all specs, each to the weights that `train` would give it, up to rounding.

    Trainings that differ in their seed, in numbers among the method's options, or in rates go through the same
    operations together; the others are trained one by one. A training that diverges does not stop the others.

    Args:
        fabric: The device; a single process.
        specs: The trainings.
        watchers: Those of each training.
        snapshots: Numbers of steps after which a copy of each method is kept.

    Returns:
        For each spec what it came to, in the order of the specs.

    Raises:
        BadInput: An example cannot be read.
    """
    seen = [list(own) for own in watchers] or [[] for _ in specs]
    outcomes: dict[int, Trained | Diverged] = {}
    for group in groups(specs):
        some = [(specs[i], seen[i]) for i in group]
        outcomes |= zip(group, _train_group(fabric, some, snapshots), strict=True)
    return [outcomes[i] for i in range(len(specs))]


Watched = tuple[Spec, Sequence[Watcher]]
"""A training, and what sees its steps."""


def train_stack(fabric: Fabric, some: Sequence[Watched], kept: StackCheckpoint) -> list[Trained | Diverged]:
    """Train specs that go together, from where their checkpoint is or from the start.

    The checkpoint also holds the end, so that weights which are written one by one all come from the same training.

    Args:
        fabric: The device; a single process.
        some: One of the `groups` of all trainings.
        kept: Where to continue from and to save to. Of a training that diverges the last good state becomes a
            checkpoint of its own.

    Returns:
        For each spec what it came to.

    Raises:
        NotStackable: They must be trained one by one; nothing was written.
        BadInput: An example cannot be read, or a checkpoint cannot be read or written.
    """
    return _Group(fabric, some, kept=kept).train()


def groups(specs: Sequence[Spec]) -> Iterator[list[int]]:
    """Which trainings go together, as many as fit; those of the same rates are next to each other."""
    found: list[list[int]] = []
    for i, spec in enumerate(specs):
        fitting = (group for group in found if _go_together(specs[group[0]], spec))
        group = next(fitting, None)
        found.append([i]) if group is None else group.append(i)
    for group in found:
        trainings = [specs[i].training for i in group]
        group.sort(key=lambda i: trainings.index(specs[i].training))
        most = max(1, MOST_NUMBERS // max(1, _numbers(specs[group[0]])))
        yield from (group[start : start + most] for start in range(0, len(group), most))


def may_have_company(spec: Spec) -> bool:
    """Whether a training can be one of a stack, if there are others like it."""
    return 2 * _numbers(spec) <= MOST_NUMBERS and _may_stack(spec)


def has_plain_steps(training: Training) -> bool:
    """Whether the settings of a training allow that it takes its steps with others."""
    usual = training.precision == "32-true" and training.accumulate == 1
    return usual and not training.compile and training.patience is None


def rows_fit(specs: Sequence[Spec]) -> bool:
    """Whether the examples of all trainings may be in memory at once."""
    parts = {id(part): part for spec in specs for part in (spec.data.source, spec.data.target)}.values()
    return sum(len(part) * part.batch(np.zeros(1, np.int64)).numel() for part in parts if len(part)) <= MOST_ROWS


def _numbers(spec: Spec) -> int:
    return sum(p.numel() for p in spec.method.parameters())


def _go_together(a: Spec, b: Spec) -> bool:
    same = all(
        getattr(a.training, name) == getattr(b.training, name)
        for name in type(a.training).model_fields
        if name not in OWN_SETTINGS
    )
    size = len(a.data.target) == len(b.data.target) and bool(a.data.from_target) == bool(b.data.from_target)
    plain = a.layers == b.layers and a.strategy == b.strategy
    return same and size and plain and _may_stack(a) and _may_stack(b) and alike(a.method, b.method)


def _may_stack(spec: Spec) -> bool:
    """Whether nothing about a training but its losses is against a stack."""
    simple = has_plain_steps(spec.training) and not spec.augment.any
    still = all(layer.pace.start == 0 or layer.pace == FROZEN for layer in spec.layers)
    inputs = [spec.data.target] if "target" in spec.method.needs else []
    inputs += [spec.data.source] if spec.method.needs & {"source", "target_labels"} else []
    return spec.method.batched and simple and still and not spec.data.batches and all(map(_are_vectors, inputs))


def _are_vectors(inputs: Inputs) -> bool:
    if not inputs.in_memory or not len(inputs):
        return False
    row = inputs.batch(np.zeros(1, dtype=np.int64))
    return row.layout == torch.strided and row.ndim == 2 and row.is_floating_point()


def _train_group(fabric: Fabric, some: Sequence[Watched], at: Collection[int]) -> list[Trained | Diverged]:
    if len(some) > 1:
        try:
            return _Group(fabric, some, at=at).train()
        except NotStackable:
            pass
    return [_train_alone(fabric, spec, watchers, at) for spec, watchers in some]


def _train_alone(fabric: Fabric, spec: Spec, watchers: Sequence[Watcher], at: Collection[int]) -> Trained | Diverged:
    snapshots = Snapshots(at)
    try:
        return Trained(train(fabric, spec, watchers=watchers, snapshots=snapshots), snapshots.taken)
    except Diverged as error:
        return error


class _Group:
    """Trainings that take every step together.

    Args:
        fabric: The device.
        some: The trainings.
        at: Steps after which copies are kept.
        kept: Where to continue from and to save to.
    """

    def __init__(
        self, fabric: Fabric, some: Sequence[Watched], *, at: Collection[int] = (), kept: StackCheckpoint | None = None
    ):
        keep_freed_memory()
        self.fabric, self.specs, self.watchers = fabric, [spec for spec, _ in some], [own for _, own in some]
        methods = [copied(fabric, spec) for spec in self.specs]
        schedules = [schedule_of(fabric, spec, m, *at) for spec, m in zip(self.specs, methods, strict=True)]
        for schedule in schedules:
            schedule.thaw(0.0)  # what moves at all moves from the start
        self.schedule: Schedule = schedules[0]
        generators = [torch.Generator(fabric.device).manual_seed(spec.seed) for spec in self.specs]
        self.stack = Stack(methods, generators)
        self.optimizer, self.kept = StackOptimizer(self.stack, self.specs), kept
        self.turns = methods[0].turns or (Turn("", ()),)
        self.batches = _Batches(fabric, self.specs)
        self.snapshots = [Snapshots(at) for _ in self.specs]
        self.diverged: dict[int, Diverged] = {}

    def train(self) -> list[Trained | Diverged]:
        """Take all steps that are left.

        Raises:
            NotStackable: Before the first.
        """
        start, due = self._start(), Due(self.fabric, self.schedule, self.specs[0].training)
        self._tell(lambda watcher: watcher.start(start))
        unread: list[tuple[int, Tensors]] = []
        try:
            for step in range(start, self.schedule.steps):
                unread.append((step + 1, self._step(step)))
                if self.schedule.reads_at(step + 1):
                    self._read(unread)
                    unread = []
                if due(step + 1) or step + 1 == self.schedule.steps:
                    self._save(step + 1)
        finally:
            self._tell(lambda watcher: watcher.flush())
        return [self._finished(i) for i in range(len(self.specs))]

    def _start(self) -> int:
        """Prepare what takes the gradients, then continue from the checkpoint if there is one.

        What is prepared depends on the state a little, so that it is always that of the first step.
        """
        states = self.kept.load() if self.kept else []
        if not states or states[0]["done"] < self.schedule.steps:
            self._begin_pass()
            batch = self.batches(0)
            for turn in self.turns:
                self.stack.prepare(turn, batch)
        if self.kept and states:
            with explain_damage(self.kept.path):
                self._restore(states)
        return states[0]["done"] if states else 0

    def _restore(self, states: Sequence[State]) -> None:
        for i, state in enumerate(states):
            self.stack.members[i].load_state_dict(state["method"])
            self.stack.generators[i].set_state(state["cuda_rng"][0] if state["cuda_rng"] else state["rng"])
            if "diverged" in state:
                self.diverged[i] = Diverged(state["diverged"])
        self.stack.stack_buffers()
        self.optimizer.load([state["optimizer"] for state in states])

    def _save(self, done: int) -> None:
        if not self.kept:
            return
        for i, member in enumerate(self.stack.members):
            if strange := not_finite(member):
                self._give_up(i, f"weights {strange!r} are not finite after step {done}")
        self._tell(lambda watcher: watcher.flush())
        self.kept.save([self._state(i, done) for i in range(len(self.specs))])

    def _state(self, i: int, done: int) -> State:
        on_cpu, now = self.fabric.device.type == "cpu", self.stack.generators[i].get_state()
        state: State = {
            "method": {name: value.clone() for name, value in self.stack.members[i].state_dict().items()},
            "optimizer": self.optimizer.state_of(i),
            "done": done,
            "looks": [],  # nothing of a stack stops early
            "rng": now if on_cpu else torch.Generator().manual_seed(self.specs[i].seed).get_state(),
            "cuda_rng": [] if on_cpu else [now],
        }
        return {**state, "diverged": self.diverged[i].message} if i in self.diverged else state

    def _begin_pass(self) -> None:
        self.stack.begin_pass([partial(self._survey, i) for i in range(len(self.specs))])

    def _step(self, step: int) -> Tensors:
        if step and step % self.schedule.pass_steps == 0:
            self._begin_pass()
        batch, progress = self.batches(step), step / self.schedule.steps
        self.optimizer.set_rate(self.schedule.rate(progress))
        losses: Tensors = {}
        for turn in self.turns:
            prefix = f"{turn.name} " if len(self.turns) > 1 else ""
            for _ in range(turn.repeat):
                gradients, found = self._gradients(turn, batch, step)
                self.optimizer.step(gradients)
            losses |= {prefix + name: loss for name, loss in found.items()}
        self.stack.after_step(progress)
        return losses

    def _gradients(self, turn: Turn, batch: Batch, step: int) -> tuple[Tensors, Tensors]:
        progress = step / self.schedule.steps
        try:
            return self.stack.gradients(turn, batch, progress)
        except RuntimeError as error:  # some operations refuse all members where one is not finite
            failing = [i for i in range(len(self.specs)) if self.stack.fails(i, turn, batch, progress)]
            if not failing or len(failing) == len(self.specs):
                raise
            for i in failing:
                self._give_up(i, f"{first_line(error)} at step {step + 1}")
            return self.stack.gradients(turn, batch, progress)

    def _survey(self, i: int) -> Iterator[Tensor]:
        return in_batches(lambda batch: batch, self.specs[i].data.target, self.fabric.device)

    def _read(self, unread: Sequence[tuple[int, Tensors]]) -> None:
        """Show the steps since the last reading to the watchers."""
        for done, losses in unread:
            values = {name: loss.tolist() for name, loss in losses.items()}
            due = done == self.schedule.steps or done % self.specs[0].training.validate_every == 0
            for i in range(len(self.specs)):
                if i not in self.diverged:
                    self._show(i, Step(done, {name: of_all[i] for name, of_all in values.items()}), validated=due)

    def _show(self, i: int, step: Step, *, validated: bool) -> None:
        spec, method = self.specs[i], self.stack.members[i]
        for name, value in step.losses.items():
            if not math.isfinite(value):
                self._give_up(i, f"loss {name!r} is {value} at step {step.done}")
                return
        found: dict[str, float] = {}
        if validated and len(spec.data.validation):
            found = validate(method.model, spec.data.validation, spec.data.validation_labels, self.fabric.device)
        for watcher in self.watchers[i]:
            watcher.step(step, found)
        self.snapshots[i].at(spec, method, step.done)

    def _give_up(self, i: int, why: str) -> None:
        """Note that a member diverged, and give it finite weights again, which nobody looks at."""
        if i not in self.diverged:
            self.diverged[i] = self._diverged(i, why)
        self.stack.restore(i)
        self.optimizer.reset(i)

    def _diverged(self, i: int, why: str) -> Diverged:
        return Diverged(f"{why}; {LOWER}; {self.kept.part(i) if self.kept else NoCheckpoint()}")

    def _tell(self, what: Callable[[Watcher], None]) -> None:
        for watcher in (watcher for own in self.watchers for watcher in own):
            what(watcher)

    def _finished(self, i: int) -> Trained | Diverged:
        if i in self.diverged:
            return self.diverged[i]
        method = own_copy(self.stack.members[i])
        method.after_training()
        finish(self.specs[i], method.model)
        if strange := not_finite(method):
            return self._diverged(i, f"weights {strange!r} are not finite when the training ends")
        return Trained(method, self.snapshots[i].taken)


class _Batches:
    """The members' batches of each step.

    Args:
        fabric: The device.
        specs: Whose batches; each member has the order of its seed.
    """

    def __init__(self, fabric: Fabric, specs: Sequence[Spec]):
        self.device = fabric.device
        roles: tuple[set[str], set[str]] = {"source", "target_labels"}, {"target"}
        self.source, self.target = ([_loader(fabric, spec, some) for spec in specs] for some in roles)
        self.table = _Table([loader.inputs for pair in zip(self.source, self.target, strict=True) for loader in pair])

    def __call__(self, step: int) -> Batch:
        """Batch ``step`` of each member."""
        of_source, of_target = ([own.sampler.indices(step) for own in some] for some in (self.source, self.target))
        found = [own.labels_of(index) for own, index in zip(self.source, of_source, strict=True)]
        if self.table.all is not None:
            rows = self.table.rows([index for pair in zip(of_source, of_target, strict=True) for index in pair])
            inputs: tuple[Tensor, ...] = (rows.view(len(found), -1, rows.shape[1]),)
        else:
            inputs = _stacked(self.source, of_source), _stacked(self.target, of_target)
        return Batch(tuple(x.to(self.device) for x in inputs), torch.stack(found).to(self.device))


class _Table:
    """The rows of several inputs in one tensor, from which one call takes all that a step needs.

    Args:
        inputs: Those of each part of a step's rows, the same ones again and again, or each its own.
    """

    def __init__(self, inputs: Sequence[Inputs]):
        dense = {id(x.x): x.x for x in inputs if isinstance(x, DenseInputs)}
        fits = len({x.shape[1] for x in dense.values()}) == 1 and sum(x.numel() for x in dense.values()) <= MOST_ROWS
        self.all = torch.cat(list(dense.values())) if fits and all(isinstance(x, DenseInputs) for x in inputs) else None
        starts = dict(zip(dense, np.cumsum([0, *map(len, dense.values())]), strict=False))
        self.starts = [starts[id(x.x)] for x in inputs if isinstance(x, DenseInputs)]

    def rows(self, indices: Sequence[Index]) -> Tensor:
        """The rows of each part, one part after the other."""
        if self.all is None:
            raise ValueError("these inputs have no table")
        index = np.concatenate([start + own for start, own in zip(self.starts, indices, strict=True)])
        return self.all.index_select(0, torch.from_numpy(index))


def _loader(fabric: Fabric, spec: Spec, roles: set[str]) -> Loader:
    """The loader of a domain's rows.

    Raises:
        NotStackable: The batches are the caller's own.
    """
    loader = loader_of(fabric, spec, roles)
    if not isinstance(loader, Loader):
        raise NotStackable
    return loader


def _stacked(loaders: Sequence[Loader], indices: Sequence[Index]) -> Tensor:
    return torch.stack([own.inputs.batch(index) for own, index in zip(loaders, indices, strict=True)])
