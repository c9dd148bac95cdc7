"""Processes that ``torchrun`` started: the first one does the work, the others take part in what it shares."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Literal, NamedTuple, TypeVar, cast

import torch
from torch import distributed

from acclimate.errors import BadInput, FirstProcessFailed

T = TypeVar("T")

PATIENCE = timedelta(days=30)
"""How long the others wait for the first process, which also reads data and scores alone."""


class Launch(NamedTuple):
    """This process among those that ``torchrun`` started.

    Attributes:
        rank: Which process this is.
        world: How many there are on all machines.
        local: How many there are on this machine.
    """

    rank: int
    world: int
    local: int


@dataclass(frozen=True)
class _End:
    """The first process is done: what it returned, or what it failed with."""

    result: object = None
    error: Exception | None = None


def accelerator() -> Literal["cuda", "cpu"]:
    """The device to train on, as Fabric calls it.

    Lightning Fabric tells torch to look for GPUs through the driver's library, so that a process may fork afterwards.
    Torch looks at every step of an optimizer, and opens that library each time; where there is no GPU, torch's own way
    is quicker.
    """
    if torch.cuda.is_available():
        return "cuda"
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    return "cpu"


def launched() -> Launch | None:
    """This process's place, from the variables that ``torchrun`` sets; ``None`` without it.

    Raises:
        BadInput: A variable is not a number.
    """
    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        _variable(name, "0")
    if "LOCAL_RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    world = _variable("WORLD_SIZE", "1")
    return Launch(_variable("RANK", "0"), world, _variable("LOCAL_WORLD_SIZE", str(world)))


def _variable(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    if not text.isdecimal():
        raise BadInput(f"{name}={text!r}: not a number; start the command with torchrun, or unset {name}")
    return int(text)


def in_first_process(work: Callable[[], T]) -> T:
    """Do the work in the first process alone; the others take part in the trainings that it shares.

    Without ``torchrun`` this calls ``work``. All processes return the first one's result.

    Args:
        work: Reads, writes and decides. Its result can be pickled.

    Raises:
        Exception: What ``work`` raised, in every process.
    """
    place = launched()
    if place is None or place.world == 1:
        return work()
    _join()
    return _lead(work) if place.rank == 0 else cast("T", _follow())


def share(task: Callable[[], object]) -> None:
    """Have the other processes call ``task`` too, if this one leads them."""
    if _leads[-1]:
        _send(task)


_leads = [False]
"""Whether this process leads others."""


def _lead(work: Callable[[], T]) -> T:
    _leads.append(True)
    try:
        result = work()
    except BaseException as error:
        told = error if isinstance(error, Exception) else BadInput("the first process was stopped")
        with suppress(RuntimeError):  # another process that failed first is gone; its end must not hide this error
            _send(_End(error=told))
        raise
    finally:
        _leads.pop()
    _send(_End(result))
    return result


def _send(message: object) -> None:
    distributed.broadcast_object_list([message], group=_control())


def _follow() -> object:
    while not isinstance(task := _received(), _End):
        cast("Callable[[], object]", task)()
    if task.error is not None:
        raise task.error from FirstProcessFailed
    return task.result


def _received() -> object:
    box: list[object] = [None]
    distributed.broadcast_object_list(box, group=_control())
    return box[0]


def _join() -> None:
    """Meet the other processes."""
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(_variable("LOCAL_RANK", "0"))
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    _control()


@cache
def _control() -> distributed.ProcessGroup:
    """Through which the first process speaks to the others; its messages never wait for a GPU."""
    group = distributed.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(group, distributed.ProcessGroup)
    return group
