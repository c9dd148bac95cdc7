"""Several trainings that go into Runs: those that go together as one stack, the others one by one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lightning_fabric import Fabric

from acclimate.training.batched import Trained, groups, may_have_company, rows_fit, train_stack
from acclimate.training.checkpoint import StackCheckpoint
from acclimate.training.engine import Diverged
from acclimate.training.job import Job, display_of, run_job
from acclimate.training.launch import accelerator, launched
from acclimate.training.progress import LossLog, SharedDisplay
from acclimate.training.stack import NotStackable
from acclimate.training.train import Watcher


def run_jobs(jobs: Iterable[Job]) -> None:
    """Train jobs from where their checkpoints are, or from the start, and leave their weights in their Runs.

    Jobs of one method that differ in seeds, rates or numbers among its options take every step together where
    `acclimate.training.batched` allows it. Each comes to the weights that `run_job` leaves, up to rounding. A job that
    has a checkpoint of its own continues by itself.

    Args:
        jobs: Those that must be trained one by one are, as soon as they come.

    Raises:
        Diverged: A loss is not finite; those that took their steps with it have left their weights.
        BadInput: As `run_job`.
    """
    begun: StackCheckpoint | None = None
    cut_off: list[Job] = []
    fresh: list[Job] = []
    for job in jobs:
        begun = begun or _begun(job)
        if begun and begun.holds(job.checkpoint):
            cut_off.append(job)
        elif not _may_wait(job):
            run_job(job)
        elif rows_fit([one.spec for one in (*fresh, job)]):
            fresh.append(job)
        else:
            _run_all(cut_off, fresh)
            begun, cut_off, fresh = None, [], [job]
    _run_all(cut_off, fresh)


def _run_all(cut_off: Sequence[Job], fresh: Sequence[Job]) -> None:
    """Train the members of a stack that was cut off, and jobs without a checkpoint."""
    diverged = [error for some in (cut_off, fresh) for error in _run_some(some)]
    if diverged:
        raise diverged[0]


def _run_some(jobs: Sequence[Job]) -> Iterator[Diverged]:
    """Train jobs; yield what kept some from their weights."""
    together = list(groups([job.spec for job in jobs])) if all(map(_is_one_process, jobs)) else []
    if jobs and len(together) != 1:
        _part(jobs, jobs[0])
    for group in together or [[i] for i in range(len(jobs))]:
        yield from _run_group([jobs[i] for i in group], first=jobs[min(group)])


def _run_group(jobs: Sequence[Job], *, first: Job) -> list[Diverged]:
    """Train jobs that go together.

    Args:
        jobs: In the order in which they are stacked.
        first: The one that was given first. Its Run has the checkpoint, so its weights are written last.
    """
    outcomes = _stacked(jobs, first) if len(jobs) > 1 else None
    if outcomes is None:
        _part(jobs, first)
        for job in jobs:
            run_job(job)
        return []
    named = sorted(zip(jobs, outcomes, strict=True), key=lambda pair: pair[0] is first)
    for job, outcome in named:
        if isinstance(outcome, Trained):
            job.leave(outcome.method)
    _stack_checkpoint(jobs, first).remove()
    failed = [(job, outcome) for job, outcome in named if isinstance(outcome, Diverged)]
    return [Diverged(f"{job.phase}, seed {job.spec.seed}: {error.message}") for job, error in failed]


def _stacked(jobs: Sequence[Job], first: Job) -> list[Trained | Diverged] | None:
    """Train jobs as one stack; None if they must be trained one by one."""
    for run in {job.run.path: job.run for job in jobs}.values():
        run.sweep()
    display, lines = SharedDisplay(display_of(sorted(jobs, key=_place))), defaultdict[Path, list[str]](list)
    watchers: list[list[Watcher]] = [
        [
            LossLog(job.run, seed=job.spec.seed, phase=job.phase, lines=lines[job.run.path]),
            *([display] if job.show else []),
        ]
        for job in jobs
    ]
    fabric = Fabric(accelerator=accelerator(), devices=1, precision=first.spec.training.precision)
    some = [(job.spec, own) for job, own in zip(jobs, watchers, strict=True)]
    try:
        return train_stack(fabric, some, _stack_checkpoint(jobs, first))
    except NotStackable:
        return None
    finally:
        display.display.close()


def _place(job: Job) -> tuple[int, int]:
    return job.number or 0, job.spec.seed


def _part(jobs: Sequence[Job], first: Job) -> None:
    """Have each job continue by itself from what a stack left."""
    kept = _stack_checkpoint(jobs, first)
    for i in range(len(jobs)):
        kept.part(i)
    kept.remove()


def _begun(job: Job) -> StackCheckpoint | None:
    """The checkpoint of a stack that was cut off, of which a job is the first."""
    found = _stack_checkpoint([job], job)
    return found if found.path.exists() else None


def _stack_checkpoint(jobs: Sequence[Job], first: Job) -> StackCheckpoint:
    path = first.run.stack_checkpoint(first.spec.seed, first.phase)
    return StackCheckpoint(path, [job.checkpoint for job in jobs], write=first.write_checkpoint)


def _may_wait(job: Job) -> bool:
    """Whether a job can take its steps with others."""
    return _is_one_process(job) and not job.checkpoint.path.exists() and may_have_company(job.spec)


def _is_one_process(job: Job) -> bool:
    place = launched()
    return (place.world if place else job.devices) == 1
