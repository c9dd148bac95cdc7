"""One training, in one process or several: what stands around the engine's loop."""

import copy
import json
import logging
import math
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from acclimate.augment.augmentation import Augment
from acclimate.data.inputs import DenseInputs, Inputs, rows_of
from acclimate.data.labels import Truth
from acclimate.data.loaders import BalancedSampler, JoinedSampler, Loader, Order, Sampler
from acclimate.errors import BadInput
from acclimate.finetune import Layer, Thaw, merge
from acclimate.methods.base import Method
from acclimate.nn import Classifier, Domain, DomainNorm, label_loss
from acclimate.nn.replicas import Replica
from acclimate.recipe import Augmentation, Training
from acclimate.run_folder import RunFolder
from acclimate.training.engine import RATES, Diverged, Step, fit, make_optimizer
from acclimate.types import Outputs

log = logging.getLogger("acclimate")

STREAM_OF_TARGET_LABELS = 100
"""Of random numbers, far from those of the other two domains."""
STATISTICS_ROWS = 10_000
"""Rows of a domain that batch norm's statistics are taken from after training."""
EVALUATION_BATCH = 256
"""Rows of a batch where nothing is learnt."""


@dataclass
class Job:
    """One training of one method with one seed; can be sent to other processes.

    Attributes:
        run: Whose folder takes checkpoints, losses and weights.
        phase: ``source_only``, ``pretrained`` or ``adapted``.
        seed: Decides the order of batches and all random numbers; ``method`` has its initial weights already.
        method: What is trained.
        training: How.
        source: Rows to learn from, with ``labels (n,)``.
        target: Rows without labels.
        validation: Rows of the source kept from training, with ``validation_labels``; none if there is no source.
        devices: Processes, or GPUs.
        show: Draw a progress bar.
        layers: Of the backbone, lowest first, and how each moves; all move if there are none.
        rung: Of the ladder, which those are of.
        below: Weights of a frozen backbone whose features stand for the examples; they are written with the others.
        augment: What is done to the examples of each domain.
        from_target: How many rows of ``source``, its last, are labelled examples of the target, which have a share of
            every batch of their own.
    """

    run: RunFolder
    phase: str
    seed: int
    method: Method
    training: Training
    source: Inputs
    labels: Truth
    target: Inputs
    validation: Inputs
    validation_labels: Truth
    devices: int = 1
    show: bool = True
    layers: Sequence[Layer] = ()
    rung: str = "full"
    below: Mapping[str, Tensor] = field(default_factory=dict)
    augment: Augmentation = field(default_factory=Augmentation)
    from_target: int = 0


def train(job: Job) -> None:
    """Run the job from where its checkpoint is, or from the start, and leave its weights in the Run.

    Raises:
        Diverged: A loss is not finite; the last checkpoint is kept.
        BadInput: An example cannot be read, or the batch cannot be shared among the processes.
    """
    launched = "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ  # by torchrun
    world = int(os.environ["WORLD_SIZE"]) if launched else job.devices
    if job.training.batch_size % world:
        raise BadInput(
            f"a batch of {job.training.batch_size} cannot be shared among {world} processes; "
            f"use --set train.batch_size={world * max(1, job.training.batch_size // world)}"
        )
    several = DDPStrategy(start_method="popen" if launched else "spawn", find_unused_parameters=_some_wait(job))
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=job.devices,
        strategy=several if world > 1 else "auto",
        precision=job.training.precision,
    )
    if not torch.cuda.is_available():
        _tell_if_slow(job.training.precision)
    if fabric.is_global_zero:
        job.run.sweep()
    try:
        fabric.launch(partial(_train, job=job))
    except ProcessRaisedException as error:
        raise _as_raised(error) from error


@cache  # once for all trainings
def _tell_if_slow(precision: str) -> None:
    """A precision of 16 bits that a CPU has no instructions for."""
    if "16" in precision and torch.backends.cpu.get_cpu_capability() == "AVX2":
        log.warning("--precision %s: this CPU has no instructions for it and takes many times as long", precision)


def _some_wait(job: Job) -> bool:
    """Whether there are steps in which parameters that are trained get no gradient."""
    return bool(job.method.turns) or any(0 < layer.pace.start < math.inf for layer in job.layers)


def _as_raised(error: ProcessRaisedException) -> Exception:
    """What a process of several died of, if it is ours to tell: all that comes back of it is the traceback's text."""
    name, _, text = str(error).rstrip().splitlines()[-1].partition(": ")
    ours = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (BadInput, Diverged)}
    return ours[name](text) if name in ours else error


def _train(fabric: Fabric, job: Job) -> None:
    training, checkpoint = job.training, _Checkpoint(fabric, job)
    torch.manual_seed(job.seed)
    # a copy, since the memory of what is sent to other processes is shared with them
    method = copy.deepcopy(job.method).to(fabric.device)
    for part in method.frozen:
        method.get_submodule(part).requires_grad_(False)  # or DDP waits for their gradients
    if any(p.ndim == 4 for p in method.parameters()):
        method = method.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(method, training, job.layers)
    start, looks = checkpoint.load(method, optimizer)
    log = _Log(job, start) if fabric.is_global_zero else None
    steps = fit(
        fabric,
        method,
        optimizer,
        _loader(fabric, job, {"source", "target_labels"}),
        _loader(fabric, job, {"target"}),
        steps=training.steps,
        start=start,
        rate=RATES[training.schedule or "constant"],
        survey=partial(_outputs, method.model, job.target, "target", fabric.device),
        pass_steps=math.ceil(len(job.target) / (training.batch_size * training.accumulate)),
        accumulate=training.accumulate,
        read_every=1 if fabric.device.type == "cpu" else math.gcd(training.validate_every, training.save_every, 10),
        compiled=training.compile,
        thaw=Thaw(method.model, job.layers),
        augment=_augment(fabric, job),
    )
    try:
        shown = _show(steps, job, fabric, start) if job.show and log else steps
        for step in shown:
            last, look = step.done == training.steps, {}
            if len(job.validation) and (last or step.done % training.validate_every == 0):
                look = validate(method.model, job.validation, job.validation_labels, fabric.device)
                looks.append(look["source_val_loss"])
                checkpoint.keep_if_best(method.model, looks)
            if log:
                log.add(step, look)
            if _stalled(looks, training.patience):
                break
            if not last and step.done % training.save_every == 0:
                if log:
                    log.flush()
                checkpoint.save(method, optimizer, step.done, looks)
    except Diverged as error:
        raise Diverged(f"{job.phase}, seed {job.seed}: {error}; {checkpoint.last_good()}") from error
    finally:
        if log:
            log.flush()
    checkpoint.take_best(method.model)
    if fabric.is_global_zero:
        _finish(job, method.model)
    fabric.barrier()
    if fabric.world_size > 1 and multiprocessing.parent_process():  # else its threads may abort a process that ends
        torch.distributed.destroy_process_group()


def _stalled(looks: list[float], patience: int | None) -> bool:
    """Whether the last ``patience`` looks at the validation split were no better than the best before them."""
    return bool(patience and looks) and len(looks) - 1 - int(np.argmin(looks)) >= (patience or 0)


def validate(model: Classifier, inputs: Inputs, labels: Truth, device: torch.device) -> dict[str, float]:
    """Loss on the source's validation split, as training sees it, and the accuracy where labels are classes."""
    logits = torch.cat([out.logits.float().cpu() for out in _outputs(model, inputs, "source", device)])
    truth = torch.from_numpy(labels)
    [loss] = label_loss(logits, truth).values()
    look = {"source_val_loss": loss.item()}
    if not truth.is_floating_point():
        look["source_val_accuracy"] = (logits.argmax(1) == truth).float().mean().item()
    return look


@torch.no_grad()
def _outputs(model: Classifier, inputs: Inputs, domain: Domain, device: torch.device) -> Iterator[Outputs]:
    model.eval()
    try:
        for rows in rows_of(inputs, EVALUATION_BATCH):
            yield model(inputs.batch(rows).to(device), domain)
    finally:
        model.train()


@torch.no_grad()
def estimate_statistics(
    model: Classifier, inputs: Inputs, domain: Domain, kinds: type | tuple[type, ...] = DomainNorm
) -> None:
    """Take batch norm's statistics of a domain anew, as the mean over its batches (AdaBN, arXiv:1603.04779).

    During training they ran behind weights that moved; and a share of the domain had not been seen yet. What rests
    keeps those it has.
    """
    norms: list[Any] = [m for m in model.train().modules() if isinstance(m, kinds) and m.training]
    model.eval()
    if not norms:
        return
    device = next(model.parameters()).device
    n = max(2, min(len(inputs), STATISTICS_ROWS))  # one row has no variance
    spread = np.linspace(0, len(inputs) - 1, n).astype(np.int64)
    usual = [norm.momentum for norm in norms]
    for i, rows in enumerate(np.array_split(spread, math.ceil(len(spread) / EVALUATION_BATCH))):
        for norm in norms:
            norm.train()
            norm.momentum = 1 / (i + 1)
        model(inputs.batch(rows).to(device), domain)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    model.eval()


def _finish(job: Job, model: Classifier) -> None:
    needs = job.method.needs
    # where one domain alone went through a batch norm, all that it keeps is of that one
    kinds = DomainNorm if {"source", "target"} <= needs else (DomainNorm, _BatchNorm)
    if "source" in needs:
        estimate_statistics(model, job.source, "source", kinds)
    if "target" in needs:
        estimate_statistics(model, job.target, "target", kinds)
    if "target_labels" in needs:
        estimate_statistics(model, job.source, "target", kinds)
    merge(model, job.rung)
    state = {k: v.detach().cpu().contiguous() for k, v in {**job.below, **model.state_dict()}.items()}
    job.run.write(f"models/{job.run.weights(job.seed, job.phase).name}", lambda path: save_file(state, path))
    for left in job.run.file("checkpoints").glob(f"{job.run.checkpoint(job.seed, job.phase).stem}.*"):
        left.unlink()


def _loader(fabric: Fabric, job: Job, roles: set[str]) -> Loader:
    labelled, training = "source" in roles, job.training
    inputs, labels = (job.source, job.labels) if labelled else (job.target, None)
    if not roles & job.method.needs:
        # as many rows as a batch has: a pass over fewer would be shuffled anew for each of them
        inputs, labels = DenseInputs(np.empty((training.batch_size, 0), dtype=np.float32)), None
    of_world = {"rank": fabric.global_rank, "world": fabric.world_size}
    if labels is not None and job.from_target:
        sampler: Order = _joined_sampler(job, labels, **of_world)
    else:
        sampler = _sampler(job, len(inputs), labels, training.batch_size, int(labelled), **of_world)
    return Loader(inputs, sampler, labels, pinned=fabric.device.type == "cuda")


def _joined_sampler(job: Job, labels: Truth, *, rank: int, world: int) -> JoinedSampler:
    """Of source and labelled target: each has its share of every batch."""
    size, n = job.training.batch_size, len(labels) - job.from_target
    theirs = min(max(round(job.training.target_share * size), 1), size - 1)
    here = _sampler(job, n, labels[:n], size - theirs, 1)
    there = _sampler(job, job.from_target, labels[n:], theirs, STREAM_OF_TARGET_LABELS)
    return JoinedSampler(here, there, n, rank=rank, world=world)


def _sampler(job: Job, n: int, labels: Truth | None, size: int, stream: int, **of_world: int) -> Sampler:
    """Of the rows of one domain, of every class equally often if that was asked for."""
    if labels is not None and job.training.balance == "sampler":
        return BalancedSampler(labels.astype(np.int64), size, seed=job.seed, stream=stream, **of_world)
    return Sampler(n, size, seed=job.seed, stream=stream, **of_world)


def _augment(fabric: Fabric, job: Job) -> Augment:
    """What is done to the batches of those domains that the method looks at."""
    needs, asked = job.method.needs, job.augment
    labelled = asked.target if "target_labels" in needs else asked.source
    return Augment(
        labelled if needs & {"source", "target_labels"} else "none",
        asked.target if "target" in needs else "none",
        Replica(fabric.global_rank, fabric.world_size),
    )


class _Checkpoint:
    """Where a training that is cut off goes on: written beside and renamed, read without unpickling objects."""

    def __init__(self, fabric: Fabric, job: Job):
        self.fabric, self.job = fabric, job
        self.path = job.run.checkpoint(job.seed, job.phase)
        self.best = self.path.with_suffix(".safetensors")

    def save(self, method: Method, optimizer: Optimizer, done: int, looks: list[float]) -> None:
        """Write all that decides what comes next."""
        state = {
            "method": method.state_dict(),
            "optimizer": optimizer.state_dict(),
            "done": done,
            "looks": looks,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        if self.fabric.is_global_zero:
            self.job.run.write(f"checkpoints/{self.path.name}", lambda path: torch.save(state, path))
        self.fabric.barrier()

    def load(self, method: Method, optimizer: Optimizer) -> tuple[int, list[float]]:
        """Steps done and validation losses seen, from the checkpoint if there is one."""
        if not self.path.exists():
            return 0, []
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in many ways
            raise BadInput(f"{self.path}: not a readable checkpoint; remove it to start this training anew") from error
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        return state["done"], state["looks"]

    def keep_if_best(self, model: Classifier, looks: list[float]) -> None:
        """Keep the weights of the best look, if training may stop early."""
        if self.job.training.patience and looks[-1] == min(looks) and self.fabric.is_global_zero:
            state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
            self.job.run.write(f"checkpoints/{self.best.name}", lambda path: save_file(state, path))

    def take_best(self, model: Classifier) -> None:
        """Go back to the weights of the best look, if any were kept."""
        self.fabric.barrier()
        if self.job.training.patience and self.best.exists():
            model.load_state_dict(load_file(self.best))

    def last_good(self) -> str:
        """Where one can look for weights that were still sound."""
        return f"last good checkpoint: {self.path}" if self.path.exists() else "there is no checkpoint yet"


class _Log:
    """``losses.jsonl``: whole lines at a time, so that a kill tears none."""

    def __init__(self, job: Job, start: int):
        self.run, self.path = job.run, job.run.file("losses.jsonl")
        self.who = {"seed": job.seed, "phase": job.phase}
        self.lines: list[str] = []
        self.flushed = time.monotonic()
        self._forget_after(start)

    def add(self, step: Step, look: dict[str, float]) -> None:
        """Note one step."""
        losses = {name: float(f"{value:.6g}") for name, value in (step.losses | look).items()}
        self.lines.append(json.dumps({**self.who, "step": step.done, **losses}) + "\n")
        if time.monotonic() - self.flushed > 2:
            self.flush()

    def flush(self) -> None:
        """Write what was noted, in one call of the system."""
        if self.lines:
            self.run.append(self.path.name, "".join(self.lines))
        self.lines, self.flushed = [], time.monotonic()

    def _forget_after(self, start: int) -> None:
        """Drop what this training noted after the checkpoint it goes on from."""
        if not self.path.exists():
            return

        def stays(line: dict[str, Any]) -> bool:
            return line["step"] <= start or {k: line[k] for k in self.who} != self.who

        kept = "".join(json.dumps(line) + "\n" for line in self.run.losses() if stays(line))
        self.run.write(self.path.name, lambda path: path.write_text(kept, "utf-8"))


def _show(steps: Iterator[Step], job: Job, fabric: Fabric, start: int) -> Iterator[Step]:
    """A bar with losses, examples a second and the time left, drawn twice a second at the most."""
    console = Console(stderr=True)
    domains = len(job.method.needs)
    columns = (
        TextColumn(f"{job.phase} [dim]seed {job.seed}[/]"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[losses]}"),
        TextColumn("{task.fields[speed]}", style="dim"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, auto_refresh=False)
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task("", total=job.training.steps, completed=start, losses="", speed="")
        drawn, since = time.monotonic(), start
        for step in steps:
            now = time.monotonic()
            if console.is_terminal and (now - drawn > 0.5 or step.done == job.training.steps):
                examples = job.training.batch_size * job.training.accumulate * domains
                speed = (step.done - since) * examples / max(now - drawn, 1e-9)
                losses = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
                bar.update(task, completed=step.done, losses=losses, speed=f"{speed:,.0f}/s", refresh=True)
                drawn, since = now, step.done
            yield step
