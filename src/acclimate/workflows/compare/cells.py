"""Cells: one setting with one seed, trained once, each in a folder named by the hash of its recipe."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load_file, save_file

from acclimate import typed_json
from acclimate.contents import CellFacts, FailedCell
from acclimate.data.domain import Part
from acclimate.errors import BadInput, damaged
from acclimate.lock import locked
from acclimate.recipe import TEACHER, Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.models import load_model
from acclimate.runs.outputs import write_outputs
from acclimate.training.engine import Diverged
from acclimate.workflows.compare.grid import Setting
from acclimate.workflows.plan import Plan
from acclimate.workflows.scoring import predict_part
from acclimate.workflows.train_phase import Machine, Phase, train_phases

T = TypeVar("T")
DIGITS = 16
"""Hexadecimal digits of a cell's name."""


@dataclass(frozen=True)
class Cell:
    """One training of a comparison.

    Attributes:
        setting: The method and its setting.
        seed: One of the seeds.
    """

    setting: Setting
    seed: int

    @cached_property
    def recipe(self) -> Recipe:
        """All that its training depends on."""
        return self.setting.plan.recipe.model_copy(update={"seeds": (self.seed,), "score": None})

    @cached_property
    def plan(self) -> Plan:
        """Of its training, which no labelled target has a part in."""
        return replace(self.setting.plan, recipe=self.recipe, score=None, positive=(), tta=())

    @cached_property
    def name(self) -> str:
        """The hash of its recipe."""
        return name_of(self.recipe)

    @property
    def phase(self) -> str:
        """Of its model: ``adapted``, or ``source_only``."""
        return self.recipe.phases[-1]

    @property
    def base(self) -> "Cell | None":
        """The source-only model of the same seed beside it."""
        return None if self.setting.base is None else Cell(self.setting.base, self.seed)

    def __str__(self) -> str:
        """Its setting and its seed."""
        return f"{self.setting.name}, seed {self.seed}"


def name_of(recipe: Recipe) -> str:
    """The hash of a recipe in hexadecimal digits."""
    text = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


class Store:
    """The cells in the folder of a comparison, which several processes may fill.

    A cell is trained in a folder beside its own and renamed when it is complete. The folder beside it has the lock.

    Args:
        path: The folder of the comparison.
    """

    def __init__(self, path: Path):
        self.path = path

    def folder(self, cell: Cell) -> RunFolder:
        """The folder of a cell, whether it is there yet or not."""
        return RunFolder(self.path / "cells" / cell.name)

    def is_done(self, cell: Cell) -> bool:
        """Whether a cell is there."""
        return self.folder(cell).path.is_dir()

    def failure(self, cell: Cell) -> str:
        """Why a cell has failed; empty if it has not."""
        path = self.path / "failed" / f"{cell.name}.json"
        return self._read(path, FailedCell)["reason"] if path.is_file() else ""

    def is_settled(self, cell: Cell) -> bool:
        """Whether nothing is left to do for a cell: it is there or has failed."""
        return self.is_done(cell) or bool(self.failure(cell))

    def facts(self, cell: Cell) -> CellFacts:
        """What is known of a finished cell beside its recipe and outputs.

        Raises:
            BadInput: Its file is damaged.
        """
        return self._read(self.folder(cell).file("cell.json"), CellFacts)

    def _read(self, path: Path, kind: type[T]) -> T:
        try:
            return typed_json.read(path, kind)
        except ValueError as error:
            raise damaged(path.parent, path.name, str(error)) from error

    @contextmanager
    def held(self, cell: Cell) -> Iterator[None]:
        """Keep other processes from training a cell.

        Raises:
            Locked: Another process trains it.
        """
        beside = self._beside(cell)
        RunFolder(beside).make()
        with locked(beside):
            yield

    def _beside(self, cell: Cell) -> Path:
        return self.path / "cells" / f".{cell.name}"

    def work(self, cell: Cell) -> RunFolder:
        """The folder in which a cell is trained; what an interrupted training left is in it."""
        return RunFolder(self._beside(cell) / "cell")

    def complete(self, cell: Cell) -> None:
        """Give the folder in which a cell was trained its own name."""
        self.work(cell).path.replace(self.folder(cell).path)

    def fail(self, cell: Cell, reason: str) -> None:
        """Note why a cell failed, and remove what its training left."""
        content: FailedCell = {"setting": cell.setting.name, "seed": cell.seed, "reason": reason}
        RunFolder(self.path).write_json(f"failed/{cell.name}.json", {**content})
        self.work(cell).remove_training(cell.seed, ["source_only", "adapted", TEACHER])

    def tidy(self, cells: Sequence[Cell]) -> None:
        """Remove the folders that had the locks, when nothing is left to do."""
        for cell in cells:
            with suppress(OSError):  # it does not exist, or holds files of others
                self._beside(cell).rmdir()


def train_cells(store: Store, cells: Sequence[Cell], machine: Machine, *, number: int = 1, of: int = 0) -> None:
    """Train cells of one method that this process holds, together where they can be.

    A cell that cannot be trained leaves the reason; where trainings fail together, each is tried by itself.

    Args:
        store: The folder.
        cells: Those to train.
        machine: Where they train.
        number: The place of the first one among all, as progress shows it.
        of: How many there are.
    """
    begun = [cell for cell in cells if _succeeds(_begin, store, cell)]
    phases = {cell.name: phase for cell, phase in zip(begun, _phases(store, begun, number, of), strict=True)}
    missing = [cell.name for cell in begun if not _has_weights(store, cell)]
    share = _train_together([phases[name] for name in missing], machine) if len(missing) > 1 else 0.0
    for cell in begun:
        spent = share if cell.name in missing else 0.0
        _succeeds(partial(_end, phase=phases[cell.name], machine=machine, spent=spent), store, cell)


def _succeeds(step: Callable[[Store, Cell], None], store: Store, cell: Cell) -> bool:
    """Take a step of a cell's training; if the cell fails, note why."""
    try:
        step(store, cell)
    except (BadInput, Diverged) as error:
        _raise_if_disk(error)
        store.fail(cell, error.message)
        return False
    return True


def _raise_if_disk(error: BadInput | Diverged) -> None:
    """Raise an error that is of the disk, not of a cell."""
    if isinstance(error.__cause__, OSError):
        raise error


def _has_weights(store: Store, cell: Cell) -> bool:
    return store.work(cell).weights(cell.seed, cell.phase).exists()


def _phases(store: Store, cells: Sequence[Cell], number: int, of: int) -> list[Phase]:
    names = {cell.setting.name for cell in cells}
    title = f"{names.pop() if len(names) == 1 else cells[0].setting.method} · cell" if cells else ""
    return [
        Phase(store.work(cell), cell.plan, cell.seed, cell.phase, title, i, of) for i, cell in enumerate(cells, number)
    ]


def _train_together(phases: Sequence[Phase], machine: Machine) -> float:
    """Train what can be trained; return the seconds that each one's share is."""
    began = time.monotonic()
    try:
        train_phases(phases, machine)
    except (BadInput, Diverged) as error:  # each that is missing is tried alone, and says so itself
        _raise_if_disk(error)
    return (time.monotonic() - began) / len(phases)


def _begin(store: Store, cell: Cell) -> None:
    run = store.work(cell)
    run.sweep()
    if cell.setting.starts_from_base and cell.base:
        _take_base(store, cell.base, run)
    if cell.setting.teachers:
        place_ensemble(store, [Cell(one, cell.seed) for one in cell.setting.teachers], run, TEACHER)
    run.write_recipe(cell.recipe)


def _end(store: Store, cell: Cell, *, phase: Phase, machine: Machine, spent: float) -> None:
    """Train a cell if it is not yet, write its outputs, and complete it."""
    began, run = time.monotonic(), store.work(cell)
    if not _has_weights(store, cell):
        train_phases([phase], machine)
    predict_cell(run, cell)
    facts: CellFacts = {"setting": cell.setting.name, "seconds": round(spent + time.monotonic() - began, 2)}
    run.write_json("cell.json", {**facts})
    run.stack_checkpoint(cell.seed, cell.phase).unlink(missing_ok=True)  # of a portion that was cut otherwise
    store.complete(cell)


def _take_base(store: Store, base: Cell, run: RunFolder) -> None:
    """Copy the weights that a training starts from."""
    if why := store.failure(base):
        raise BadInput(f"{base}, from which it starts, has failed: {why}")
    weights = store.folder(base).weights(base.seed, base.phase)
    run.write(f"models/{weights.name}", partial(shutil.copyfile, weights))


def place_ensemble(store: Store, cells: Sequence[Cell], run: RunFolder, phase: str) -> None:
    """Write the weights of cells of one seed as those of one `acclimate.nn.Ensemble`."""
    of_cells = [load_file(store.folder(cell).weights(cell.seed, cell.phase)) for cell in cells]
    state = {f"members.{i}.{name}": tensor for i, own in enumerate(of_cells) for name, tensor in own.items()}
    run.write(f"models/{run.weights(cells[0].seed, phase).name}", partial(save_file, state))


def predict_cell(run: RunFolder, cell: Cell) -> None:
    """Write what a trained cell gives for the source's validation split and for the target."""
    plan, model = cell.plan, load_model(run, cell.seed, cell.phase, shape=cell.plan.shape)
    parts = {"target": Part(plan.target)}
    if plan.source:
        parts["source_val"] = Part(plan.source, plan.held(cell.seed))
    elif plan.origin:  # the source-only model's, since there is no example of the source
        known = plan.origin.outputs(cell.seed, "source_only", "source_val")
        name = run.outputs(cell.seed, cell.phase, "source_val").name
        run.write(f"outputs/{name}", partial(shutil.copyfile, known))
    for place, part in parts.items():
        predictions = predict_part(model, plan, part, "target" if place == "target" else "source")
        write_outputs(run, cell.seed, cell.phase, place, part.domain, predictions)


def place(store: Store, cells: Sequence[Cell], run: RunFolder) -> None:
    """Copy the models and losses of cells into a Run."""
    for cell in cells:
        folder = store.folder(cell)
        weights = folder.weights(cell.seed, cell.phase)
        run.write(f"models/{weights.name}", partial(shutil.copyfile, weights))
    logs = [store.folder(cell).file("losses.jsonl") for cell in cells]
    if any(log.exists() for log in logs):
        lines = "".join(log.read_text("utf-8") for log in logs if log.exists())
        run.write("losses.jsonl", lambda path: path.write_text(lines, "utf-8"))
