"""One training whose checkpoints, losses and weights go into a Run, in one process or several."""

import logging
import math
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from safetensors.torch import save_file
from torch import Tensor
from torch.multiprocessing.spawn import ProcessRaisedException

from acclimate.errors import BadInput
from acclimate.files import Write
from acclimate.methods.base import Method
from acclimate.plugins import ImportedFiles
from acclimate.run_folder import RunFolder
from acclimate.training.checkpoint import Checkpoint
from acclimate.training.engine import Diverged
from acclimate.training.launch import accelerator, launched, share
from acclimate.training.progress import LossLog, ProgressDisplay
from acclimate.training.train import Spec, Watcher, time_steps, train

log = logging.getLogger("acclimate")


@dataclass(frozen=True)
class Job:
    """A training and where its files go; can be sent to other processes.

    Attributes:
        run: Whose folder takes checkpoints, losses and weights.
        phase: ``source_only``, ``pretrained`` or ``adapted``.
        spec: What is trained, on what, how.
        devices: Processes, or GPUs.
        show: Show progress on stderr.
        title: What progress calls it; its phase and seed follow.
        number: Its place among all trainings, from 1; none if it has no place.
        of: How many there are.
        unit: What progress counts, e.g. ``images``.
        below: Weights of a frozen backbone whose features stand for the examples; they are written with the others.
    """

    run: RunFolder
    phase: str
    spec: Spec
    devices: int = 1
    show: bool = True
    below: Mapping[str, Tensor] = field(default_factory=dict)
    title: str = "training"
    number: int | None = None
    of: int = 0
    unit: str = "examples"

    @property
    def weights(self) -> Path:
        """Where the trained weights go."""
        return self.run.weights(self.spec.seed, self.phase)

    @property
    def checkpoint(self) -> Checkpoint:
        """Where it continues from."""
        return Checkpoint(self.run.checkpoint(self.spec.seed, self.phase), write=self.write_checkpoint)

    def write_checkpoint(self, path: Path, how: Write) -> None:
        """Write a file among the Run's checkpoints."""
        self.run.write(f"checkpoints/{path.name}", how)

    def leave(self, method: Method) -> None:
        """Write the trained weights and remove the checkpoint."""
        state = {k: v.detach().cpu().contiguous() for k, v in {**self.below, **method.model.state_dict()}.items()}
        self.run.write(f"models/{self.weights.name}", lambda path: save_file(state, path))
        self.checkpoint.remove()


def run_job(job: Job) -> Method | None:
    """Train from where the checkpoint is, or from the start, and leave the weights in the Run.

    Returns:
        The trained method where one process trained it; none where other processes did.

    Raises:
        Diverged: A loss is not finite; the last checkpoint is kept.
        BadInput: An example cannot be read, or the batch cannot be shared among the processes.
    """
    training, place = job.spec.training, launched()
    world = place.world if place else job.devices
    if training.batch_size % world:
        raise BadInput(
            f"a batch of {training.batch_size} cannot be shared among {world} processes; "
            f"use --set train.batch_size={world * max(1, training.batch_size // world)}"
        )
    if not torch.cuda.is_available():
        _warn_if_slow(training.precision)
    if not place or place.rank == 0:
        job.run.sweep()
    launch = partial(_launch, ImportedFiles(), job)
    share(launch)
    return launch()


TIMED = 3
"""Steps that are timed."""


def expected_seconds(job: Job) -> float:
    """How long the steps of a training take in one process, from a few that are timed."""
    training = job.spec.training
    fabric = Fabric(accelerator=accelerator(), devices=1, precision=training.precision)
    return training.steps * time_steps(fabric, job.spec, steps=TIMED)


def _launch(modules: object, job: Job) -> Method | None:
    """Train in each of the processes.

    Args:
        modules: Come before the job, since another process imports them when it unpickles them.
        job: The training.
    """
    place = launched()
    local, world = (place.local, place.world) if place else (job.devices, job.devices)
    several = DDPStrategy(start_method="popen" if place else "spawn", find_unused_parameters=_some_wait(job.spec))
    fabric = Fabric(
        accelerator=accelerator(),
        devices=local,
        num_nodes=world // local,
        strategy=several if world > 1 else "auto",
        precision=job.spec.training.precision,
    )
    try:
        trained: Method | None = fabric.launch(partial(_run, modules, job))
    except ProcessRaisedException as error:
        raise _as_raised(error) from error
    return trained


def _run(modules: object, job: Job, fabric: Fabric) -> Method | None:
    """What each process does."""
    spec, checkpoint = job.spec, job.checkpoint
    watchers: list[Watcher] = [LossLog(job.run, seed=spec.seed, phase=job.phase)]
    display = display_of([job])
    try:
        method = train(fabric, spec, checkpoint=checkpoint, watchers=[*watchers, *([display] if job.show else [])])
    except Diverged as error:
        raise Diverged(f"{job.phase}, seed {spec.seed}: {error.message}") from error
    finally:
        display.close()
    if fabric.is_global_zero:
        job.leave(method)
    fabric.barrier()
    if fabric.world_size > 1 and multiprocessing.parent_process():  # else its threads may abort a process that ends
        torch.distributed.destroy_process_group()
    return method if fabric.world_size == 1 else None


def display_of(jobs: Sequence[Job]) -> ProgressDisplay:
    """What shows a training, or several that take every step together."""
    job = jobs[0]
    training, domains = job.spec.training, len(job.spec.method.needs)
    examples = training.batch_size * training.accumulate * domains * len(jobs)
    return ProgressDisplay(_title(jobs), steps=training.steps, examples=examples, unit=job.unit)


def _title(jobs: Sequence[Job]) -> str:
    job, seeds = jobs[0], list(dict.fromkeys(job.spec.seed for job in jobs))
    numbers = [job.number for job in jobs if job.number is not None]
    place = f" {_listed(numbers)} of {job.of}" if numbers else ""
    return f"{_counted(job.title, jobs)}{place} · {job.phase}, {_counted('seed', seeds)} {_listed(seeds)}"


def _counted(word: str, counted: Sequence[object]) -> str:
    return f"{word}s" if len(counted) > 1 else word


def _listed(numbers: Sequence[int]) -> str:
    """Numbers in words, e.g. ``0``, ``0 and 1``, ``0 to 4`` or ``0, 2 and 7``."""
    first, last = numbers[0], numbers[-1]
    if len(numbers) > 2 and list(numbers) == list(range(first, last + 1)):
        return f"{first} to {last}"
    before = ", ".join(map(str, numbers[:-1]))
    return f"{before} and {last}" if before else f"{last}"


@cache  # once for all trainings
def _warn_if_slow(precision: str) -> None:
    """Warn of a precision of 16 bits that a CPU has no instructions for."""
    if "16" in precision and torch.backends.cpu.get_cpu_capability() == "AVX2":
        log.warning("--precision %s: this CPU has no instructions for it and takes many times as long", precision)


def _some_wait(spec: Spec) -> bool:
    """Whether there are steps in which parameters that are trained get no gradient."""
    return bool(spec.method.turns) or any(0 < layer.pace.start < math.inf for layer in spec.layers)


def _as_raised(error: ProcessRaisedException) -> Exception:
    """What one process of several died of, if it is ours: all that comes back of it is the traceback's text."""
    name, _, text = str(error).rstrip().splitlines()[-1].partition(": ")
    ours = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (BadInput, Diverged)}
    return ours[name](text) if name in ours else error
