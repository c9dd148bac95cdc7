"""Runs that a comparison leaves: of the chosen setting, of an ensemble, and of its student."""

from collections.abc import Sequence

from acclimate.run_folder import RunFolder
from acclimate.workflows.adapt import finish
from acclimate.workflows.compare.cells import Cell, Store, name_of, place, place_ensemble
from acclimate.workflows.compare.grid import Setting
from acclimate.workflows.resume import check_same

WINNER = "winner"
"""The folder of the chosen setting's Run."""


def make_run(
    store: Store, name: str, setting: Setting, seeds: Sequence[int], *, command: str, members: Sequence[Setting] = ()
) -> None:
    """Copy the models and losses of a setting into a Run, and score and report it as `adapt` does.

    The Run is made beside its folder and renamed, so that it is whole or not there.

    Args:
        store: Has its cells, and those of its source-only models.
        name: The folder, below that of the comparison.
        setting: With all seeds.
        seeds: Those of the comparison.
        command: The command that trains the same.
        members: Those of an ensemble, which has no cells of its own.

    Raises:
        CannotResume: There is a Run of another setting.
    """
    final, recipe = RunFolder(store.path / name), setting.plan.recipe
    if final.path.exists():
        check_same(final, recipe)
        return
    run = RunFolder(store.path / f".{name}-{name_of(recipe)}")
    own = [Cell(setting, seed) for seed in seeds]
    bases = [cell.base for cell in own if cell.base is not None]
    cells = bases if members else [*bases, *own]
    of_members = [[Cell(one, seed) for one in members] for seed in seeds] if members else []

    def place_all() -> None:
        place(store, cells, run)
        for of_seed in of_members:
            place_ensemble(store, of_seed, run, "adapted")

    trained = [*cells, *(cell for of_seed in of_members for cell in of_seed)]
    seconds = sum(store.facts(cell)["seconds"] for cell in trained)
    finish(run, setting.plan, place_all, seconds=round(seconds, 1), command=command)
    run.path.replace(final.path)
