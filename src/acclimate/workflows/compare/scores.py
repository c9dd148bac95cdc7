"""Scores of every cell on the labelled target, when the choice is made."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from acclimate.contents import Agreement, Change, ComparedSetting, Scored
from acclimate.data import Domain
from acclimate.data.domain import Part
from acclimate.runs.models import load_model
from acclimate.runs.outputs import ClassOutputs, read_file, write_outputs
from acclimate.validators.aggregation import aggregate
from acclimate.workflows.compare.cells import Cell, Store
from acclimate.workflows.compare.ensemble import Weights
from acclimate.workflows.compare.grid import Grid, Setting
from acclimate.workflows.scoring import change_between, predict_part

PLACE = "scored"
FEWEST = 4
"""Settings from which a correlation says something."""


def scored_outputs(store: Store, cell: Cell, scored: Domain) -> ClassOutputs:
    """What a cell's model gives for the labelled target; it is kept in the cell."""
    run = store.folder(cell)
    if not run.outputs(cell.seed, cell.phase, PLACE).exists():
        model = load_model(run, cell.seed, cell.phase, shape=cell.plan.shape)
        predictions = predict_part(model, cell.plan, Part(scored), "target")
        write_outputs(run, cell.seed, cell.phase, PLACE, scored, predictions)
    found = read_file(run, cell.seed, cell.phase, PLACE)
    assert isinstance(found, ClassOutputs)
    return found


class Scoring:
    """The labelled target, and what every model gives for it.

    Args:
        store: Has the cells.
        grid: What was compared.
        scored: The labelled target.
    """

    def __init__(self, store: Store, grid: Grid, scored: Domain):
        self.store, self.grid, self.scored = store, grid, scored
        self.seeds = grid.reference.plan.recipe.seeds
        self.before = self._outputs(grid.reference)

    def settings(self) -> Mapping[str, tuple[Scored, Change | None]]:
        """The scores of each setting that has all seeds, and what changes from source-only to it."""
        whole = {
            name: setting
            for name, setting in self.grid.settings.items()
            if all(self.store.is_done(Cell(setting, seed)) for seed in self.seeds)
        }
        return {name: self.of_setting(setting) for name, setting in whole.items()}

    def ensemble(self, weights: Mapping[int, Weights]) -> tuple[Scored, Change | None]:
        """The scores of an ensemble, and what changes from source-only to it.

        Args:
            weights: Of its members, by seed.
        """
        return self._scores([self._combined(seed, own) for seed, own in weights.items()])

    def of_setting(self, setting: Setting) -> tuple[Scored, Change | None]:
        """The scores of a setting that has all seeds, and what changes from source-only to it."""
        return self._scores(self._outputs(setting))

    def _combined(self, seed: int, weights: Weights) -> ClassOutputs:
        cells = [Cell(self.grid.settings[name], seed) for name in weights]
        outputs = [scored_outputs(self.store, cell, self.scored) for cell in cells]
        stack = np.stack([one.probabilities for one in outputs])
        return outputs[0].with_answers(aggregate(stack, np.array([*weights.values()])))

    def _outputs(self, setting: Setting) -> list[ClassOutputs]:
        return [scored_outputs(self.store, Cell(setting, seed), self.scored) for seed in self.seeds]

    def _scores(self, after: Sequence[ClassOutputs]) -> tuple[Scored, Change | None]:
        positive = self.grid.reference.plan.positive
        mean: Scored = {"n": len(self.scored), **after[0].mean([one.scores(positive) for one in after])}
        same = all(np.array_equal(old.answers, new.answers) for old, new in zip(self.before, after, strict=True))
        return mean, None if same else change_between(self.before, after)


def agreement(ranking: Sequence[ComparedSetting]) -> list[Agreement]:
    """How far each validator, and the rank that combines them, agree with the accuracy over settings."""
    scored = [row for row in ranking if "target" in row]
    combined = [(row["rank"], row["target"]["accuracy"]) for row in scored if row["rank"] is not None]
    validators = dict.fromkeys(name for row in scored for name in row["scores"])
    pairs = {"combined": combined} | {
        name: [(row["scores"][name], row["target"]["accuracy"]) for row in scored if name in row["scores"]]
        for name in validators
    }
    return [_correlated(name, of_both) for name, of_both in pairs.items() if _varies(of_both)]


def _varies(pairs: Sequence[tuple[float, float]]) -> bool:
    return len(pairs) >= FEWEST and all(np.ptp(values) > 0 for values in zip(*pairs, strict=True))


def _correlated(name: str, pairs: Sequence[tuple[float, float]]) -> Agreement:
    correlation = spearmanr(*zip(*pairs, strict=True)).statistic
    return {"validator": name, "correlation": round(float(correlation), 4), "settings": len(pairs)}
