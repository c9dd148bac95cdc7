"""Which of the source-only and the adapted model a Run keeps: gates that need no labels of the target decide."""

from collections.abc import Sequence

import numpy as np

from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import AnyOutputs, ClassOutputs, read_class_outputs, read_file
from acclimate.validators.candidate import Candidate
from acclimate.validators.collapse import collapsed, flattened
from acclimate.validators.gates import LEAVE_SOURCE, reasons


def why_not(run: RunFolder, recipe: Recipe) -> str:
    """Return the reason to keep source-only in place of the adapted model; empty if there is none.

    A fall on the source speaks against a method, unless it learns from the unlabelled target alone.

    Args:
        run: Has the outputs of both phases.
        recipe: Its recipe.
    """
    return _broken(run, recipe) or ("" if recipe.task == "regression" else _gated(run, recipe))


def leaves_source(recipe: Recipe) -> bool:
    """Whether the method, or one of the members of an ensemble, learns from the unlabelled target alone."""
    return bool({recipe.method, *(one.method for one in recipe.members)} & LEAVE_SOURCE)


def _gated(run: RunFolder, recipe: Recipe) -> str:
    """The reason of a gate that rejects at least half of the seeds."""
    found = [reasons([_candidate(run, seed, phase, recipe) for phase in recipe.phases], 0)[1] for seed in recipe.seeds]
    rejected = [why for why in found if why]
    return rejected[0] if 2 * len(rejected) >= len(found) else ""


def _candidate(run: RunFolder, seed: int, phase: str, recipe: Recipe) -> Candidate:
    """What a model gives; in place of one that has not met the source stands source-only there."""
    source, target = _held_out(run, seed, phase), read_class_outputs(run, seed, phase, "target")
    assert isinstance(source, ClassOutputs)
    rows: Sequence[int] = target.rows.tolist()
    return Candidate(
        recipe.method if phase == "adapted" else phase, source.probabilities, source.true, target.probabilities,
        target_features=target.features if rows else None, target_rows=target.rows if rows else None,
        members=[one.method for one in recipe.members] if phase == "adapted" else (),
    )  # fmt: skip


def _broken(run: RunFolder, recipe: Recipe) -> str:
    """Whether what the adapted models give has collapsed, or they lost much on the source; empty if not."""
    before, after = (
        np.stack([_held_out(run, seed, phase).errors() for seed in recipe.seeds])
        for phase in ("source_only", "adapted")
    )
    seed = recipe.seeds[0]
    target = read_file(run, seed, "adapted", "target")
    if isinstance(target, ClassOutputs):
        return collapsed(before, before if leaves_source(recipe) else after, target.probabilities)
    return flattened(before, after, _held_out(run, seed, "adapted").answers, target.predicted)


def _held_out(run: RunFolder, seed: int, phase: str) -> AnyOutputs:
    """Outputs for the source's validation split: of the source-only model if this one started from a Run."""
    known = run.outputs(seed, phase, "source_val").exists()
    return read_file(run, seed, phase if known else "source_only", "source_val")
