"""``--finetune auto``: up the ladder, the simplest rung first, as long as the next one is better on the source."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate import backbones
from acclimate.data.domain import Part
from acclimate.data.labels import truth
from acclimate.run_folder import RunFolder
from acclimate.runs.run import load_model
from acclimate.workflows.plan import Plan, make_plan
from acclimate.workflows.plan.request import Request
from acclimate.workflows.scoring import answer
from acclimate.workflows.train_phase import train_phase

log = logging.getLogger("acclimate")

RUNGS = ("feature_extraction", "partial", "full")
"""Of the ladder, those that are tried."""


class Selected(NamedTuple):
    """A plan with its rung, and the Run in which its baseline was trained for the first seed, if it was tried."""

    plan: Plan
    trial: RunFolder | None = None


def select_strategy(
    plan: Plan,
    asked: Request,
    folder: Path,
    *,
    before: Mapping[str, Any] | None = None,
    devices: int = 1,
    show: bool = False,
) -> Selected:
    """The plan on the rung that was asked for, or on the one that was found for a pretrained backbone.

    Each rung is the source-only training of the first seed. The next is taken if the mean of what it gains in loss on
    the source's validation split, over its examples, is more than the standard error of that mean; if not the search is
    over. No label of the target is looked at, so that what is found is the best for the source.

    Args:
        plan: On the full rung, if none was asked for.
        asked: What it was made of.
        folder: For the trainings.
        before: ``finetune`` and ``tried`` of a recipe that was begun, which hold.
        devices: Processes, or GPUs.
        show: Draw progress bars on stderr.

    Reference:
        The rule of one standard error: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
    """
    if not _undecided(plan, asked):
        return Selected(plan)
    if before is not None:
        return Selected(_on(plan, asked, before["finetune"], before.get("tried")))
    best, tried, least = Selected(plan), {}, None
    for rung in RUNGS:
        there = _on(plan, asked, rung)
        log.info("--finetune auto: trying %s", rung)
        run = _trained(there, folder / rung, devices=devices, show=show)
        losses = validation_losses(run, there)
        tried[rung] = round(float(losses.mean()), 4)
        if least is not None and not gains(least, losses):
            break
        best, least = Selected(there, run), losses
    log.info("--finetune auto: %s (validation loss of the source: %s)", best.plan.recipe.finetune, _told(tried))
    recipe = best.plan.recipe.model_copy(update={"tried": tried})
    return best._replace(plan=replace(best.plan, recipe=recipe))


def gains(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether losses ``(n,)`` of the same examples are less ``after`` by more than a standard error."""
    gained = before - after
    return bool(len(gained) > 1 and gained.mean() > gained.std(ddof=1) / math.sqrt(len(gained)))


def validation_losses(run: RunFolder, plan: Plan) -> NDArray[np.float64]:
    """The baseline's loss of each validation example of the source ``(n,)``: log loss, or squared error of numbers."""
    assert plan.source
    seed, recipe = plan.recipe.seeds[0], plan.recipe
    part = Part(plan.source, plan.held(seed))
    said, labels = answer(load_model(run, seed, "source_only"), plan, part, "source"), truth(part.domain, recipe)
    if recipe.task == "regression":
        return np.asarray((said.logits[:, 0] - labels) ** 2)
    return np.asarray(-np.log(said.probabilities[np.arange(len(labels)), labels].clip(1e-12)))


def _undecided(plan: Plan, asked: Request) -> bool:
    recipe = plan.recipe
    free = asked.finetune == "auto" and plan.source is not None and recipe.trains_a_network and not recipe.pretrain
    return free and backbones.pretrained(recipe.backbone, recipe.backbone_options)


def _on(plan: Plan, asked: Request, rung: str, tried: Mapping[str, float] | None = None) -> Plan:
    """The same plan on another rung."""
    labelled = plan.target_labels.whole if plan.target_labels else None
    without = replace(asked, finetune=rung, score=None, positive=(), tta=(), target_labels=labelled)
    there = make_plan(plan.source, plan.target, without)
    recipe = there.recipe.model_copy(update={"tried": dict(tried or {})})
    return replace(there, recipe=recipe, score=plan.score, positive=plan.positive, tta=plan.tta)


def _trained(plan: Plan, path: Path, *, devices: int, show: bool) -> RunFolder:
    run = RunFolder(path)
    run.write("recipe.yaml", plan.recipe.save)
    run.write_folder("preprocess", plan.fitted.save)
    train_phase(run, plan, plan.recipe.seeds[0], "source_only", devices=devices, show=show)
    return run


def _told(tried: Mapping[str, float]) -> str:
    return ", ".join(f"{rung} {loss:.4f}" for rung, loss in tried.items())
