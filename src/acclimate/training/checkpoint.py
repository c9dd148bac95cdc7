"""Where a training that is cut off continues."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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
        state = {
            "method": method.state_dict(),
            "optimizer": optimizer.state_dict(),
            "done": progress.done,
            "looks": progress.losses,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        if fabric.is_global_zero:
            self._write(self.path, lambda path: torch.save(state, path))
        fabric.barrier()

    def load(self, method: Method, optimizer: Optimizer) -> Progress:
        """Restore the state if there is one, and tell how far it had come.

        Raises:
            BadInput: The file is damaged.
        """
        if not self.path.exists():
            return Progress(0, [])
        try:
            return self._restored(method, optimizer)
        except Exception as error:  # a damaged file fails in many ways
            raise BadInput(f"{self.path}: not a readable checkpoint; remove it to start this training anew") from error

    def _restored(self, method: Method, optimizer: Optimizer) -> Progress:
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        if not isinstance(state["done"], int) or state["done"] < 0:
            raise ValueError("steps that cannot be")
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
