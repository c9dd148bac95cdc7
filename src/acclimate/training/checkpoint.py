"""Where a training that is cut off continues."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from acclimate.errors import BadInput
from acclimate.files import Write, explain_disk_errors, write_atomically
from acclimate.methods.base import Method


def _write(path: Path, write: Write) -> None:
    with explain_disk_errors(path):
        write_atomically(path, write)


class Progress(NamedTuple):
    """How far a training has come: steps done, and the validation losses seen."""

    done: int
    losses: list[float]


class State(TypedDict):
    """All that decides what comes next in a training.

    Attributes:
        method: Its state.
        optimizer: Its state.
        done: Steps done.
        looks: The validation losses seen.
        rng: Torch's random numbers to come.
        cuda_rng: Those of each GPU.
        diverged: Why it takes no further steps, if a loss is not finite; only in a stack.
    """

    method: dict[str, Any]
    optimizer: dict[str, Any]
    done: int
    looks: list[float]
    rng: Tensor
    cuda_rng: list[Tensor]
    diverged: NotRequired[str]


class Checkpoint:
    """A file with all that decides what comes next; written beside and renamed, read without unpickling objects.

    Args:
        path: The file; the best weights of a training that may stop early lie beside it as ``.safetensors``.
        write: Writes a file at a path.
    """

    def __init__(self, path: Path, *, write: Callable[[Path, Write], object] = _write):
        self.path, self.best = path, path.with_suffix(".safetensors")
        self._write = write

    def save(self, fabric: Fabric, method: Method, optimizer: Optimizer, progress: Progress) -> None:
        """Write the state; every process calls it, one writes.

        Raises:
            BadInput: It cannot be written.
        """
        state: State = {
            "method": method.state_dict(),
            "optimizer": optimizer.state_dict(),
            "done": progress.done,
            "looks": progress.losses,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        if fabric.is_global_zero:
            self.write(state)
        fabric.barrier()

    def write(self, state: State) -> None:
        """Write a state.

        Raises:
            BadInput: It cannot be written.
        """
        self._write(self.path, lambda path: torch.save(state, path))

    def load(self, method: Method, optimizer: Optimizer) -> Progress:
        """Restore the state if there is one, and tell how far it had come.

        Raises:
            BadInput: The file is damaged.
        """
        if not self.path.exists():
            return Progress(0, [])
        with explain_damage(self.path):
            return self._restored(method, optimizer)

    def _restored(self, method: Method, optimizer: Optimizer) -> Progress:
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        _check_steps(state["done"])
        return Progress(state["done"], [float(loss) for loss in state["looks"]])

    def save_best(self, model: nn.Module) -> None:
        """Keep the weights of the best validation loss so far.

        Raises:
            BadInput: They cannot be written.
        """
        state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        self._write(self.best, lambda path: save_file(state, path))

    def load_best(self, model: nn.Module) -> None:
        """Return to the best weights, if any were kept."""
        if self.best.exists():
            model.load_state_dict(load_file(self.best))

    def remove(self) -> None:
        """Delete both files: the training is over."""
        for path in self.path, self.best:
            path.unlink(missing_ok=True)

    def __str__(self) -> str:
        """Where one can look for weights that were still sound."""
        return f"last good checkpoint: {self.path}" if self.path.exists() else "there is no checkpoint yet"


class StackCheckpoint:
    """One file with the states of trainings that take every step together, so that all continue from the same step.

    Each state is what the training's own checkpoint would hold.

    Args:
        path: The file.
        members: The trainings' own checkpoints.
        write: Writes a file at a path.
    """

    def __init__(
        self, path: Path, members: Sequence[Checkpoint], *, write: Callable[[Path, Write], object] = _write
    ) -> None:
        self.path, self.members = path, list(members)
        self._write = write

    def save(self, states: Sequence[State]) -> None:
        """Write the states of all members.

        Raises:
            BadInput: They cannot be written.
        """
        named = dict(zip(map(self._name, self.members), states, strict=True))
        self._write(self.path, lambda path: torch.save(named, path))

    def load(self) -> list[State]:
        """The states of the members, all after the same step; none if there is no file.

        Raises:
            BadInput: The file is damaged.
        """
        if not self.path.exists():
            return []
        with explain_damage(self.path):
            named = torch.load(self.path, map_location="cpu", weights_only=True)
            states: list[State] = [named[self._name(member)] for member in self.members]
            _check_steps(*(state["done"] for state in states))
            return states

    def holds(self, member: Checkpoint) -> bool:
        """Whether the file has the state of a training.

        Raises:
            BadInput: The file is damaged.
        """
        if not self.path.exists():
            return False
        with explain_damage(self.path):
            return self._name(member) in torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)

    def part(self, i: int) -> Checkpoint:
        """Give one member's state, if there is a file, to the member's own checkpoint; one that diverged has it."""
        states = self.load()
        if states and "diverged" not in states[i]:
            self.members[i].write(states[i])
        return self.members[i]

    def remove(self) -> None:
        """Delete the file: all members are done, or continue by themselves."""
        self.path.unlink(missing_ok=True)

    def _name(self, member: Checkpoint) -> str:
        """Where a member's own checkpoint would be, as seen from the file, since a Run may be moved."""
        return Path(os.path.relpath(member.path, self.path.parent)).as_posix()


@contextmanager
def explain_damage(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint is read, in many ways, into one line.

    Raises:
        BadInput: The block failed.
    """
    try:
        yield
    except Exception as error:
        raise BadInput(f"{path}: not a readable checkpoint; remove it to start this training anew") from error


def _check_steps(*done: object) -> None:
    """Refuse numbers of steps that cannot be, or that differ."""
    if any(not isinstance(steps, int) or steps < 0 for steps in done) or len(set(done)) != 1:
        raise ValueError("steps that cannot be")


class NoCheckpoint(Checkpoint):
    """Keeps nothing but the best weights, in memory."""

    def __init__(self) -> None:
        super().__init__(Path("none.ckpt"))
        self._best: dict[str, Tensor] = {}

    def save(self, fabric: Fabric, method: Method, optimizer: Optimizer, progress: Progress) -> None:
        """Do nothing."""

    def load(self, method: Method, optimizer: Optimizer) -> Progress:
        """Start anew."""
        return Progress(0, [])

    def save_best(self, model: nn.Module) -> None:
        """Keep the weights of the best validation loss so far."""
        self._best = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def load_best(self, model: nn.Module) -> None:
        """Return to the best weights, if any were kept."""
        if self._best:
            model.load_state_dict(self._best)

    def remove(self) -> None:
        """Do nothing."""

    def __str__(self) -> str:
        """There is no file to look at."""
        return "there is no checkpoint"
