"""Trains the cells of a comparison on Ray, which may have many machines that share the comparison's folder."""

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from acclimate.errors import BadInput, first_line
from acclimate.plugins import ImportedFiles
from acclimate.workflows.compare.cells import Cell, Store
from acclimate.workflows.compare.portions import Portion, portions
from acclimate.workflows.compare.work import PAUSE, as_sent, can_start, held, tell, work
from acclimate.workflows.train_phase import Machine

log = logging.getLogger("acclimate")

OWN = "ray"
"""As an address: the cluster that Ray finds from this machine, or else one that it starts for this call."""
RETRIES = 3
"""How often Ray tries a portion again whose worker was killed."""

PATIENCE = 10
"""Seconds in which the machine of an address must answer."""


@dataclass(frozen=True)
class _Given:
    """What a worker needs; equal for all portions.

    Attributes:
        modules: Come before the cells, since another process imports them when it unpickles them.
        store: The folder.
        cells: All cells.
        machine: Where they train.
        place: The working directory, which paths of examples may be relative to.
        threads: Of each task.
    """

    modules: object
    store: Store
    cells: Sequence[Cell]
    machine: Machine
    place: str
    threads: int


def work_on_ray(ray: Any, store: Store, cells: Sequence[Cell], machine: Machine) -> None:
    """Train the cells as tasks of Ray, a task for each portion.

    Args:
        ray: The library, connected.
        store: The folder; all machines reach it under this path.
        cells: All cells.
        machine: Where a task trains.

    Raises:
        BadInput: No machine of the cluster has room for a task.
    """
    resources = _resources(ray, len(cells), machine)
    workers = _workers(ray, resources)
    if not workers:
        raise BadInput(f"--on: no machine of the cluster has what a task needs: {resources}; use fewer --devices")
    log.info("training on Ray, up to %d tasks at once", workers)
    threads = max(1, int(resources["num_cpus"]) // machine.devices)
    own, sent = Store(store.path.resolve()), [as_sent(cell) for cell in cells]
    given = _Given(ImportedFiles(), own, sent, Machine(machine.devices), str(Path.cwd()), threads)
    task = ray.remote(max_retries=RETRIES, **resources)(_train)
    tasks = _Tasks(ray, task, ray.put(pickle.dumps(given)), store, cells)
    tasks.train(portions(cells, machine, workers=workers))


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray with a connection, which is closed at the end unless it was open before; None without an address.

    Raises:
        BadInput: The cluster cannot be reached.
    """
    if not address:
        yield None
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    opened = not ray.is_initialized()
    if opened:
        _connect(ray, address)
    try:
        yield ray
    finally:
        if opened:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    where: dict[str, Any] = {"include_dashboard": False} if address == OWN else {"address": address}
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()  # Ray itself waits for minutes
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise BadInput(f"--on {address}: cannot reach Ray ({first_line(error)}); check the address") from None


def _resources(ray: Any, n_cells: int, machine: Machine) -> dict[str, float]:
    """What a task gets: one CPU, more if there are more than cells, but never more than a machine has."""
    total = ray.cluster_resources()
    most = max((node["Resources"].get("CPU", 0) for node in _nodes(ray)), default=0)
    cpus = min(max(machine.devices, total.get("CPU", 0) // n_cells), max(most, machine.devices))
    gpus = machine.devices if total.get("GPU", 0) else 0
    return {"num_cpus": int(cpus), "num_gpus": gpus}


def _workers(ray: Any, resources: dict[str, float]) -> int:
    """How many tasks can run at once."""
    needed = {"CPU": resources["num_cpus"], "GPU": resources["num_gpus"]}
    rooms = [[node["Resources"].get(k, 0) // n for k, n in needed.items() if n] for node in _nodes(ray)]
    return int(sum(min(room) for room in rooms))


def _nodes(ray: Any) -> list[Any]:
    return [node for node in ray.nodes() if node["Alive"]]


class _Tasks:
    """The tasks of a comparison, which the first process starts and waits for.

    Args:
        ray: The library, connected.
        task: Trains a portion.
        box: Holds what all tasks are given.
        store: The folder.
        cells: All cells.
    """

    def __init__(self, ray: Any, task: Any, box: Any, store: Store, cells: Sequence[Cell]):
        self.ray, self.task, self.box = ray, task, box
        self.store, self.cells = store, list(cells)
        self.places = {cell.name: i for i, cell in enumerate(cells)}
        self.running: dict[Any, Portion] = {}
        self.told = {cell.name for cell in cells if store.is_settled(cell)}

    def train(self, shared: Sequence[Portion]) -> None:
        """Train all portions; those that start from others' models as soon as these are there."""
        waiting = list(shared)
        try:
            while waiting or self.running:
                waiting = [portion for portion in waiting if not self._start(portion)]
                done, _ = self.ray.wait(list(self.running), timeout=PAUSE) if self.running else ([], [])
                waiting += chain.from_iterable(self._end(ref) for ref in done)
        finally:
            for ref in self.running:
                with suppress(Exception):  # the connection may be what failed
                    self.ray.cancel(ref, force=True)

    def _start(self, portion: Portion) -> bool:
        """Start a portion if its cells can start; return whether nothing about it waits."""
        left = [cell for cell in portion if not self.store.is_settled(cell)]
        if not all(can_start(self.store, cell) for cell in left):
            return False
        if left:
            places = [self.places[cell.name] for cell in left]
            self.running[self.task.remote([self.box], places)] = left
        return True

    def _end(self, ref: Any) -> list[Portion]:
        """Take note of a task that is done; return what is to be tried again, cell by cell."""
        portion = self.running.pop(ref)
        try:
            self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self.ray.exceptions.RayError as error:
            return self._lost(portion, error)
        finally:
            self._tell(portion)
        return []

    def _lost(self, portion: Portion, error: Exception) -> list[Portion]:
        """Give up a cell whose worker was killed every time; of several cells one may be the reason, so try each."""
        left = [cell for cell in portion if not self.store.is_settled(cell)]
        if len(left) > 1:
            return [[cell] for cell in left]
        for cell in left:
            with held(self.store, [cell]) as free:
                for one in free:
                    self.store.fail(one, f"its worker was lost {RETRIES + 1} times: {first_line(error)}")
        return []

    def _tell(self, portion: Portion) -> None:
        new = [cell for cell in portion if cell.name not in self.told and self.store.is_settled(cell)]
        tell(self.store, new, first=len(self.told) + 1, of=len(self.cells))
        self.told |= {cell.name for cell in new}


def _train(box: list[Any], places: Sequence[int]) -> None:
    """What a task does: train the cells at some places.

    Args:
        box: A reference to what all tasks are given, in a list so that Ray leaves it as it is.
        places: Positions of the cells.
    """
    given = _given(box[0])
    with suppress(OSError):  # then paths are absolute, or a message says what is missing
        os.chdir(given.place)
    torch.set_num_threads(given.threads)
    work(given.store, [[given.cells[i] for i in places]], given.machine)


@lru_cache(maxsize=1)
def _given(ref: Any) -> _Given:
    """What this process was given, read once for all its tasks."""
    import ray

    given: _Given = pickle.loads(ray.get(ref))
    return given
