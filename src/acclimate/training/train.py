"""One training in one process of however many: what stands around the engine's loop."""

import copy
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from acclimate.augment.augmentation import Augment
from acclimate.cpu import keep_freed_memory
from acclimate.data.inputs import DenseInputs, Inputs, joined
from acclimate.data.labels import Truth
from acclimate.data.loaders import BalancedSampler, JoinedSampler, Loader, Order, Sampler, pairs
from acclimate.finetune import Layer, Unfreezer, merge
from acclimate.methods.base import Method
from acclimate.nn import Classifier, DomainNorm
from acclimate.nn.replicas import Replica
from acclimate.recipe import Augmentation, Training
from acclimate.training.checkpoint import Checkpoint, NoCheckpoint, Progress
from acclimate.training.engine import (
    LOWER,
    RATES,
    Batches,
    Diverged,
    Schedule,
    Step,
    make_optimizer,
    on_device,
    run,
    set_up,
)
from acclimate.training.examples import NO_LABELS, NO_ROWS, BatchSource
from acclimate.training.inference import estimate_statistics, in_batches, in_precision_of, validate

STREAM_OF_TARGET_LABELS = 100
"""Of random numbers, far from those of the other two domains."""


@dataclass(frozen=True)
class TrainingData:
    """What a training learns from.

    Attributes:
        source: Rows to learn from.
        labels: Their classes by position, or standardised numbers ``(n,)``.
        target: Rows without labels.
        validation: Rows of the source kept from training; none if there is no source.
        validation_labels: Theirs.
        from_target: How many rows of ``source``, its last, are labelled examples of the target, which have a share of
            every batch of their own.
        batches: The caller's own batches of a domain, by ``source`` and ``target``.
    """

    source: Inputs
    labels: Truth
    target: Inputs
    validation: Inputs = NO_ROWS
    validation_labels: Truth = field(default_factory=lambda: NO_LABELS)
    from_target: int = 0
    batches: Mapping[str, BatchSource] = field(default_factory=dict)


@dataclass(frozen=True)
class Spec:
    """One training that has not begun; it can be sent to other processes.

    Attributes:
        method: What is trained, with its initial weights.
        data: What it learns from.
        training: How.
        seed: Decides the order of batches and all random numbers.
        layers: Of the backbone, lowest first, and how each moves; all move if there are none.
        strategy: The fine-tuning strategy that those are of.
        augment: What is done to the examples of each domain.
    """

    method: Method
    data: TrainingData
    training: Training = field(default_factory=Training)
    seed: int = 0
    layers: Sequence[Layer] = ()
    strategy: str = "full"
    augment: Augmentation = field(default_factory=Augmentation)


class Watcher(Protocol):
    """Sees each step: a log, a progress bar."""

    def start(self, done: int) -> None:
        """Training begins, or continues after ``done`` steps."""

    def step(self, step: Step, validation: Mapping[str, float]) -> None:
        """A step is done; ``validation`` has losses and scores if the model was validated."""

    def flush(self) -> None:
        """A checkpoint follows, or the end: write what is noted."""


class Snapshots:
    """Copies of a method as it is after stated steps, finished like a trained one.

    Args:
        steps: When they are taken.

    Attributes:
        taken: By step.
    """

    def __init__(self, steps: Collection[int] = ()):
        self.steps = frozenset(steps)
        self.taken: dict[int, Method] = {}

    def at(self, spec: Spec, method: Method, done: int) -> None:
        """Take one if it is due."""
        if done in self.steps:
            self.taken[done] = own_copy(method)
            self.taken[done].after_training()
            finish(spec, self.taken[done].model)


def with_target_labels(data: TrainingData, inputs: Inputs, labels: Truth) -> TrainingData:
    """The same data with labelled examples of the target to learn from beside the source."""
    whole = joined(data.source, inputs), np.concatenate([data.labels, labels])
    return TrainingData(*whole, data.target, data.validation, data.validation_labels, len(labels), data.batches)


def train(
    fabric: Fabric,
    spec: Spec,
    *,
    checkpoint: Checkpoint | None = None,
    watchers: Sequence[Watcher] = (),
    snapshots: Snapshots | None = None,
) -> Method:
    """Train a copy of the spec's method, from where its checkpoint is or from the start.

    Args:
        fabric: Devices, processes, precision.
        spec: What is trained, on what, how.
        checkpoint: Where to continue from and to save to.
        watchers: See each step, in the first process.
        snapshots: Takes copies on the way.

    Returns:
        The trained method, its model in evaluation mode.

    Raises:
        Diverged: A loss or a trained weight is not finite; the last checkpoint is kept.
        BadInput: An example cannot be read, or a checkpoint cannot be written.
    """
    keep_freed_memory()
    training, method = spec.training, copied(fabric, spec)
    optimizer = make_optimizer(method, training, spec.layers)
    kept = checkpoint or NoCheckpoint()
    done, losses = kept.load(method, optimizer)
    watching, taken = list(watchers) if fabric.is_global_zero else [], snapshots or Snapshots()
    for watcher in watching:
        watcher.start(done)
    schedule = schedule_of(fabric, spec, method, *taken.steps)
    due = Due(fabric, schedule, training)
    try:
        for step in _steps(fabric, spec, method, optimizer, schedule, done):
            found = _looked(fabric, spec, method, step.done)
            losses += [found["source_val_loss"]] if found else []
            if found and training.patience and losses[-1] == min(losses) and fabric.is_global_zero:
                kept.save_best(method.model)
            for watcher in watching:
                watcher.step(step, found)
            taken.at(spec, method, step.done)
            if _stalled(losses, training.patience):
                break
            if step.done < training.steps and due(step.done):
                for watcher in watching:
                    watcher.flush()
                kept.save(fabric, method, optimizer, Progress(step.done, losses))
    except Diverged as error:
        raise Diverged(f"{error.message}; {kept}") from error
    finally:
        for watcher in watching:
            watcher.flush()
    fabric.barrier()
    if training.patience:
        kept.load_best(method.model)
    else:
        method.after_training()
    _end(fabric, spec, method, str(kept))
    return method


def _end(fabric: Fabric, spec: Spec, method: Method, kept: str) -> None:
    """Finish the model in the first process; refuse weights that are not finite."""
    if fabric.is_global_zero:
        finish(spec, method.model)
    if strange := fabric.broadcast(not_finite(method)):
        raise Diverged(f"weights {strange!r} are not finite when the training ends; {LOWER}; {kept}")


def _looked(fabric: Fabric, spec: Spec, method: Method, done: int) -> dict[str, float]:
    """What a look at the validation split gives; nothing where none is due after a step."""
    data, last = spec.data, done == spec.training.steps
    if not len(data.validation) or not (last or done % spec.training.validate_every == 0):
        return {}
    return validate(method.model, data.validation, data.validation_labels, fabric.device)


def time_steps(fabric: Fabric, spec: Spec, *, steps: int) -> float:
    """Take the first steps of a training, which is then dropped; nothing of the spec changes.

    Returns:
        The median of the seconds that a step takes, but for the first, which also has memory allocated.
    """
    keep_freed_memory()
    few = spec.training.model_copy(update={"steps": steps, "patience": None, "validate_every": 1, "save_every": 1})
    spec = replace(spec, training=few)
    method = copied(fabric, spec)
    optimizer, schedule = make_optimizer(method, few, spec.layers), schedule_of(fabric, spec, method)
    ends = [time.monotonic() for _ in _steps(fabric, spec, method, optimizer, schedule, 0)]
    return float(np.median(np.diff(ends)))


def not_finite(method: Method) -> str | None:
    """The first weight, or statistic of batch norm, that holds something else than finite numbers."""
    state = method.state_dict().items()
    return next((k for k, v in state if v.is_floating_point() and not v.isfinite().all()), None)


def own_copy(method: Method) -> Method:
    """A copy that shares no memory; of a buffer that is a view, a copy of the view alone."""
    twin = copy.deepcopy(method)
    for name, buffer in list(twin.named_buffers()):
        parent, _, leaf = name.rpartition(".")
        setattr(twin.get_submodule(parent), leaf, buffer.clone())
    return twin


def copied(fabric: Fabric, spec: Spec) -> Method:
    """The spec's method on the device, with the random numbers of its seed to come."""
    torch.manual_seed(spec.seed)
    # a copy, since the memory of what is sent to other processes is shared with them
    method = copy.deepcopy(spec.method).to(fabric.device)
    for part in method.frozen:
        method.get_submodule(part).requires_grad_(False)  # or DDP waits for their gradients
    if any(p.ndim == 4 for p in method.parameters()):
        method = method.to(memory_format=torch.channels_last)
    return method


class Due:
    """Whether a checkpoint is due after a step; all processes get the same answer.

    Args:
        fabric: The processes; the first one's clock counts.
        schedule: Losses are read when the method's state is that of the step, so only then a checkpoint can be taken.
        training: How many steps, and how many seconds, lie between checkpoints.
    """

    def __init__(self, fabric: Fabric, schedule: Schedule, training: Training):
        self.fabric, self.schedule, self.training = fabric, schedule, training
        self.last = time.monotonic()

    def __call__(self, done: int) -> bool:
        """Whether one is due after ``done`` steps; if so, the time to the next begins."""
        by_steps = done % self.training.save_every == 0
        if not (by_steps or (self.schedule.reads_at(done) and self._waited())):
            return False
        self.last = time.monotonic()
        return True

    def _waited(self) -> bool:
        waited = time.monotonic() - self.last >= self.training.save_seconds
        return self.fabric.broadcast(waited) if self.fabric.world_size > 1 else waited


def schedule_of(fabric: Fabric, spec: Spec, method: Method, *read_at: int) -> Schedule:
    """When what happens; losses are also read at the steps ``read_at``, as the method is then that of the step."""
    training, data = spec.training, spec.data
    thaw = Unfreezer(method.model, spec.layers)
    thaw(1.0)  # of what never moves no process tells another
    return Schedule(
        steps=training.steps,
        rate=RATES[training.schedule or "constant"],
        thaw=thaw,
        pass_steps=max(1, math.ceil(len(data.target) / (training.batch_size * training.accumulate))),
        accumulate=training.accumulate,
        read_every=1
        if fabric.device.type == "cpu"
        else math.gcd(training.validate_every, training.save_every, 10, *read_at),
    )


def _steps(
    fabric: Fabric, spec: Spec, method: Method, optimizer: Optimizer, schedule: Schedule, start: int
) -> Iterator[Step]:
    training, data = spec.training, spec.data
    if training.compile:
        method.compile()
    batches = _augment(fabric, spec)(on_device(fabric, _batches(fabric, spec, start * training.accumulate)))

    def survey() -> Iterator[Tensor]:
        return in_batches(partial(in_precision_of, method.model), data.target, fabric.device)

    return run(set_up(fabric, method, optimizer), batches, schedule, start=start, survey=survey)


def _stalled(losses: Sequence[float], patience: int | None) -> bool:
    """Whether the last ``patience`` validation losses were no better than the best before them."""
    return bool(patience and losses) and len(losses) - 1 - int(np.argmin(losses)) >= (patience or 0)


def finish(spec: Spec, model: Classifier) -> None:
    """Take batch norm's statistics anew and bring the model back into the backbone's own shape."""
    needs, data = spec.method.needs, spec.data
    # where one domain alone went through a batch norm, all that it keeps is of that one
    kinds = DomainNorm if {"source", "target"} <= needs else (DomainNorm, _BatchNorm)
    if "source" in needs:
        estimate_statistics(model, data.source, "source", kinds)
    if "target" in needs:
        estimate_statistics(model, data.target, "target", kinds)
    if "target_labels" in needs:
        estimate_statistics(model, data.source, "target", kinds)
    merge(model, spec.strategy)
    model.eval()


def _batches(fabric: Fabric, spec: Spec, step: int) -> Batches:
    """Inputs and labels of the source with inputs of the target, from batch ``step`` on."""
    source, target = (loader_of(fabric, spec, roles) for roles in ({"source", "target_labels"}, {"target"}))
    if isinstance(source, Loader) and isinstance(target, Loader):
        return pairs(source, target, step)
    both = zip(source.start(step), target.start(step), strict=True)
    return ((inputs, labels, unlabelled) for (inputs, labels), (unlabelled, _) in both)


def loader_of(fabric: Fabric, spec: Spec, roles: set[str]) -> Loader | BatchSource:
    """Batches of the domain that has one of the ``roles``; rows without numbers if the method does not need it."""
    labelled, size = "source" in roles, spec.training.batch_size
    own = spec.data.batches.get("source" if labelled else "target")
    if own is not None and roles & spec.method.needs:
        return own
    inputs, labels = (spec.data.source, spec.data.labels) if labelled else (spec.data.target, None)
    if not roles & spec.method.needs:
        # as many rows as a batch has: a pass over fewer would be shuffled anew for each of them
        inputs, labels = DenseInputs(np.empty((size, 0), dtype=np.float32)), None
    process = {"rank": fabric.global_rank, "world": fabric.world_size}
    if labels is not None and spec.data.from_target:
        sampler: Order = _joined_sampler(spec, labels, **process)
    else:
        sampler = _sampler(spec, len(inputs), labels, size, int(labelled), **process)
    return Loader(inputs, sampler, labels, pinned=fabric.device.type == "cuda")


def _joined_sampler(spec: Spec, labels: Truth, *, rank: int, world: int) -> JoinedSampler:
    """Of source and labelled target: each has its share of every batch."""
    size, n = spec.training.batch_size, len(labels) - spec.data.from_target
    of_target = min(max(round(spec.training.target_share * size), 1), size - 1)
    source = _sampler(spec, n, labels[:n], size - of_target, 1)
    target = _sampler(spec, spec.data.from_target, labels[n:], of_target, STREAM_OF_TARGET_LABELS)
    return JoinedSampler(source, target, n, rank=rank, world=world)


def _sampler(spec: Spec, n: int, labels: Truth | None, size: int, stream: int, **process: int) -> Sampler:
    """Of the rows of one domain, of every class equally often with ``balance: sampler``."""
    if labels is not None and spec.training.balance == "sampler":
        return BalancedSampler(labels.astype(np.int64), size, seed=spec.seed, stream=stream, **process)
    return Sampler(n, size, seed=spec.seed, stream=stream, **process)


def _augment(fabric: Fabric, spec: Spec) -> Augment:
    """What is done to the batches of those domains that the method looks at."""
    needs, augment = spec.method.needs, spec.augment
    of_labelled = augment.target if "target_labels" in needs else augment.source
    return Augment(
        of_labelled if needs & {"source", "target_labels"} else "none",
        augment.target if "target" in needs else "none",
        Replica(fabric.global_rank, fabric.world_size),
    )
