"""Scores of every cell on the labelled target, when the choice is made."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from acclimate.contents import Agreement, Change, ComparedSetting, Scored
from acclimate.data import Domain
from acclimate.data.domain import Part
from acclimate.runs.models import load_model
from acclimate.runs.outputs import ClassOutputs, read_class_outputs, write_outputs
from acclimate.workflows.compare.cells import Cell, Store
from acclimate.workflows.compare.grid import Setting
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
    return read_class_outputs(run, cell.seed, cell.phase, PLACE)


def score_settings(
    store: Store, settings: Mapping[str, Setting], seeds: Sequence[int], scored: Domain, reference: str
) -> Mapping[str, tuple[Scored, Change | None]]:
    """The scores of each setting that has all seeds, and what changes from the reference to it."""

    def outputs(setting: Setting) -> list[ClassOutputs]:
        return [scored_outputs(store, Cell(setting, seed), scored) for seed in seeds]

    before, found = outputs(settings[reference]), {}
    for name, setting in settings.items():
        if all(store.is_done(Cell(setting, seed)) for seed in seeds):
            after = before if name == reference else outputs(setting)
            positive = setting.plan.positive
            mean: Scored = {"n": len(scored), **after[0].mean([one.scores(positive) for one in after])}
            found[name] = mean, None if name == reference else change_between(before, after)
    return found


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
