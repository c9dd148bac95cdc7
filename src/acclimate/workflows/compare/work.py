"""Does the cells of a comparison, in one process or in several that share its folder."""

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain

import torch

from acclimate.lock import Locked
from acclimate.plugins import ImportedFiles
from acclimate.workflows.compare.cells import Cell, Store, train_cells
from acclimate.workflows.compare.portions import Portion, portions
from acclimate.workflows.train_phase import Machine

log = logging.getLogger("acclimate")

PAUSE = 0.5
"""Seconds until cells that another process holds are looked at again."""


def work(store: Store, shared: Sequence[Portion], machine: Machine, *, parent: int | None = None) -> None:
    """Train the cells that are missing, portion by portion; wait for those that another process trains.

    Args:
        store: The folder.
        shared: All cells.
        machine: Where they train.
        parent: The process whose end ends this one's work, too; none by default.
    """
    cells = list(chain.from_iterable(shared))
    while not all(map(store.is_settled, cells)):
        worked = False
        for portion in shared:
            if parent is not None and os.getppid() != parent:
                return
            worked |= _attempt(store, portion, machine, cells)
        if not worked:
            time.sleep(PAUSE)


def _attempt(store: Store, portion: Portion, machine: Machine, cells: Sequence[Cell]) -> bool:
    """Train those cells of a portion that nobody else holds, if all can start; return whether there were any."""
    left = [cell for cell in portion if not store.is_settled(cell)]
    if not all(can_start(store, cell) for cell in left):
        return False
    with held(store, left) as free:
        first = sum(map(store.is_settled, cells)) + 1
        train_cells(store, free, machine, number=first, of=len(cells))
    tell(store, free, first=first, of=len(cells))
    return bool(free)


def tell(store: Store, cells: Sequence[Cell], *, first: int, of: int) -> None:
    """Name cells that are settled, with the time or why they failed."""
    for i, cell in enumerate(cells, first):
        if why := store.failure(cell):
            log.warning("cell %d of %d: %s has failed: %s", i, of, cell, why)
        else:
            log.info("cell %d of %d: %s (%.0f s)", i, of, cell, store.facts(cell)["seconds"])


def can_start(store: Store, cell: Cell) -> bool:
    """Whether there is what its training starts from."""
    return not cell.setting.starts_from_base or cell.base is None or store.is_settled(cell.base)


@contextmanager
def held(store: Store, cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """Keep other processes from training cells; yield those that nobody else holds and that are missing."""
    with ExitStack() as stack:
        free = [cell for cell in cells if _hold(store, cell, stack)]
        yield [cell for cell in free if not store.is_settled(cell)]


def _hold(store: Store, cell: Cell, stack: ExitStack) -> bool:
    try:
        stack.enter_context(store.held(cell))
    except Locked:
        return False
    return True


def work_together(store: Store, cells: Sequence[Cell], machine: Machine, workers: int) -> None:
    """Train the cells in several processes of this machine, of which this is one; its threads are divided."""
    shared = portions(cells, machine, workers=workers)
    workers = min(workers, len(shared))
    if workers < 2:
        work(store, shared, machine)
        return
    context = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // workers)
    sent = [[as_sent(cell) for cell in portion] for portion in shared]
    given = (ImportedFiles(), store, sent, Machine(machine.devices), threads)
    others = [context.Process(target=_worker, args=(*given, os.getpid()), daemon=True) for _ in range(workers - 1)]
    for process in others:
        process.start()
    try:
        with _threads(threads):
            work(store, shared, machine)
    except BaseException:
        for process in others:
            process.terminate()
        raise
    finally:
        for process in others:
            process.join()


def as_sent(cell: Cell) -> Cell:
    """A cell as another process takes it, without what reads the labelled target."""
    setting, base = cell.setting, cell.setting.base
    base = base and replace(base, plan=replace(base.plan, score=None))
    return Cell(replace(setting, plan=replace(setting.plan, score=None), base=base), cell.seed)


def _worker(
    modules: object, store: Store, shared: Sequence[Portion], machine: Machine, threads: int, parent: int
) -> None:
    """What each further process does; what stops it, the first one meets as well.

    Args:
        modules: Come before the cells, since this process imports them when it unpickles them.
        store: The folder.
        shared: All cells.
        machine: Where they train.
        threads: Of this process.
        parent: The first process.
    """
    torch.set_num_threads(threads)
    try:
        work(store, shared, machine, parent=parent)
    except KeyboardInterrupt:
        return


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
