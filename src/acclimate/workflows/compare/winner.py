"""The chosen setting as a Run of its own, made of the models in its cells."""

from collections.abc import Sequence
from functools import partial

from acclimate.run_folder import RunFolder
from acclimate.workflows.adapt import finish
from acclimate.workflows.compare.cells import Cell, Store, name_of, place
from acclimate.workflows.compare.grid import Setting
from acclimate.workflows.resume import check_same


def make_winner(store: Store, setting: Setting, seeds: Sequence[int], *, command: str) -> None:
    """Copy the models and losses of a setting into a Run, and score and report it as `adapt` does.

    The Run is made beside ``winner`` and renamed, so that it is whole or not there.

    Args:
        store: Has its cells, and those of its source-only models.
        setting: With all seeds.
        seeds: Those of the comparison.
        command: The command that trains the same Run.

    Raises:
        CannotResume: There is a Run of another setting.
    """
    final, recipe = RunFolder(store.path / "winner"), setting.plan.recipe
    if final.path.exists():
        check_same(final, recipe)
        return
    run = RunFolder(store.path / f".winner-{name_of(recipe)}")
    own = [Cell(setting, seed) for seed in seeds]
    cells = [cell for one in own for cell in (one.base, one) if cell is not None]
    seconds = sum(store.facts(cell)["seconds"] for cell in cells)
    finish(run, setting.plan, partial(place, store, cells, run), seconds=round(seconds, 1), command=command)
    run.path.replace(final.path)
