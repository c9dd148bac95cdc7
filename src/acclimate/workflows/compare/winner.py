"""The chosen setting as a Run of its own, made of the models in its cells."""

from collections.abc import Sequence
from functools import partial

from acclimate.run_folder import RunFolder
from acclimate.workflows.adapt import finish
from acclimate.workflows.compare.cells import Cell, Store, place
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
    finish(run, plan, partial(place, store, cells, run), seconds=round(seconds, 1), command=command)
    return run
