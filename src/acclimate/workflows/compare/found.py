"""``compare.json``: what a comparison was asked, and what it found."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from acclimate import typed_json
from acclimate.contents import (
    Change,
    ComparedEnsemble,
    ComparedSetting,
    CompareSettings,
    Comparison,
    Scored,
    SettingRecipe,
)
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import read_file
from acclimate.workflows.compare.cells import Cell, Store
from acclimate.workflows.compare.choice import Table, mean_scores
from acclimate.workflows.compare.grid import Grid, Setting
from acclimate.workflows.label_curves import SHARED
from acclimate.workflows.resume import CannotResume, difference

FILE = "compare.json"
Scores = Mapping[str, tuple[Scored, Change | None]]
"""Of each setting that has all seeds: its scores, and what changes from source-only to it."""


def head_of(grid: Grid) -> CompareSettings:
    """What must be the same to continue the comparison."""
    plan = grid.reference.plan
    recipe, score = plan.recipe, plan.recipe.score
    return {
        "source": recipe.source.path,
        "sources": {one.path: one.n for one in recipe.sources},
        "target": recipe.target.path,
        "score": None if score is None else {"path": score.path, "n": score.n},
        "classes": list(recipe.classes),
        "seeds": list(recipe.seeds),
        "positive": list(plan.positive),
        "tta": list(plan.tta),
        "digests": {**recipe.digests, **({} if score is None else {"score": score.digest})},
        "left_out": dict(grid.left_out),
        "recipes": {
            name: cast("SettingRecipe", one.plan.recipe.model_dump(mode="json", exclude=SHARED))
            for name, one in grid.settings.items()
        },
    }


def read(folder: RunFolder) -> CompareSettings | Comparison | None:
    """What the file says; None if there is none.

    Raises:
        CannotResume: It is damaged.
    """
    path = folder.file(FILE)
    if not path.is_file():
        return None
    try:
        found = typed_json.read(path, dict[str, Any])
        typed_json.check(found, Comparison if "ranking" in found else CompareSettings)
        return cast("CompareSettings | Comparison", found)
    except ValueError as error:
        raise CannotResume(f"{path}: cannot resume: changed or damaged ({error}); choose another -o") from error


def check_same(folder: RunFolder, head: CompareSettings) -> None:
    """Refuse to continue a comparison that was asked otherwise.

    Raises:
        CannotResume: An option differs; the message names it and both values.
    """
    before = read(folder)
    if before is not None and (found := _difference(head, before)):
        raise CannotResume(f"{folder.path}: cannot resume: {found}; use the same, or choose another -o")


def _difference(asked: CompareSettings, made: CompareSettings) -> str | None:
    new, old, what = _in_short(asked), _in_short(made), "the comparison was made"
    for flag, text in new.items():
        if old[flag] != text:
            return f"{flag} {text}, but {what} with {old[flag]}"
    if found := difference({"digests": asked["digests"]}, {"digests": made["digests"]}, what=what):
        return found
    for name, recipe in asked["recipes"].items():
        both = (cast("Mapping[str, object]", some["recipes"].get(name, {})) for some in (asked, made))
        if recipe["method"] and (found := difference(*both, what=what)):
            return f"{name}: {found}"
    return None


def _in_short(settings: CompareSettings) -> dict[str, str]:
    """What must be the same, as text, by what sets it."""
    score = settings["score"]
    return {
        "source": settings["source"],
        "target": settings["target"],
        "--methods": ",".join(dict.fromkeys(recipe["method"] for recipe in settings["recipes"].values())),
        "--seeds": ", ".join(map(str, settings["seeds"])),
        "--score": "none" if score is None else f"{score['n']} examples of {score['path']}",
        "--label: classes": ", ".join(settings["classes"]),
        "--positive": ", ".join(settings["positive"]) or "none",
        "--tta": ", ".join(settings["tta"]) or "none",
    }


def row_of(
    store: Store,
    setting: Setting,
    seeds: Sequence[int],
    tables: Mapping[int, Table],
    rank: float | None,
    scores: Scores,
) -> ComparedSetting:
    """What was found of one setting."""
    name, cells = setting.name, [Cell(setting, seed) for seed in seeds]
    rows = {seed: table[name] for seed, table in tables.items() if name in table}
    done = [cell for cell in cells if store.is_done(cell)]
    seconds = [store.facts(cell)["seconds"] for cell in done]
    row: ComparedSetting = {
        "name": name,
        "method": setting.method,
        "settings": dict(setting.given),
        "rank": None if rank is None else round(rank, 6),
        "rejected": {str(seed): one.rejected for seed, one in rows.items() if one.rejected},
        "failed": {str(cell.seed): store.failure(cell) for cell in cells if not store.is_done(cell)},
        "scores": {name: round(value, 6) for name, value in mean_scores(list(rows.values())).items()},
        "left_out": sorted({name for one in rows.values() for name in one.left_out}),
        "source_val": _source_accuracy(store, done),
        "seconds": round(sum(seconds) / len(seconds), 2) if seconds else None,
    }
    if setting.source:
        row["source"] = setting.source
    if name in scores:
        row["target"], change = scores[name]
        if change is not None:
            row["change"] = change
    return row


def ensemble_row(
    name: str, weights: Mapping[int, Mapping[str, float]], scores: tuple[Scored, Change | None] | None
) -> ComparedEnsemble:
    """What was found of one ensemble."""
    members = {str(seed): {one: round(w, 6) for one, w in own.items()} for seed, own in weights.items()}
    row: ComparedEnsemble = {"name": name, "members": members}
    if scores is not None:
        row["target"], change = scores
        if change is not None:
            row["change"] = change
    return row


def _source_accuracy(store: Store, cells: Sequence[Cell]) -> float | None:
    """The mean accuracy of finished cells on the source's validation split."""
    outputs = [read_file(store.folder(cell), cell.seed, cell.phase, "source_val") for cell in cells]
    return round(1 - float(np.mean([one.errors().mean() for one in outputs])), 6) if outputs else None
