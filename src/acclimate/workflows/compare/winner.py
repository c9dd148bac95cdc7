"""The chosen setting as a Run of its own, made of the models in its cells."""

import shutil
from collections.abc import Sequence
from functools import partial

from acclimate.run_folder import RunFolder
from acclimate.workflows.adapt import finish
from acclimate.workflows.compare.cells import Cell, Store
from acclimate.workflows.compare.grid import Setting
from acclimate.workflows.plan import Plan


def make_winner(store: Store, setting: Setting, seeds: Sequence[int], *, command: str) -> RunFolder:
    """Copy the models and losses of a setting into a Run, and score and report it as `adapt` does.

    Args:
        store: Has its cells, and those of its source-only models.
        setting: With all seeds.
        seeds: Those of the comparison.
        command: The command that trains the same Run.
    """
    run = RunFolder(store.path / "winner")
    own = [Cell(setting, seed) for seed in seeds]
    cells = [cell for one in own for cell in (one.base, one) if cell is not None]
    seconds = sum(store.facts(cell)["seconds"] for cell in cells)
    plan: Plan = setting.plan
    finish(run, plan, partial(_place, store, cells, run), seconds=round(seconds, 1), command=command)
    return run


def _place(store: Store, cells: Sequence[Cell], run: RunFolder) -> None:
    for cell in cells:
        folder = store.folder(cell)
        weights = folder.weights(cell.seed, cell.phase)
        run.write(f"models/{weights.name}", partial(shutil.copyfile, weights))
    logs = [store.folder(cell).file("losses.jsonl") for cell in cells]
    if any(log.exists() for log in logs):
        lines = "".join(log.read_text("utf-8") for log in logs if log.exists())
        run.write("losses.jsonl", lambda path: path.write_text(lines, "utf-8"))
