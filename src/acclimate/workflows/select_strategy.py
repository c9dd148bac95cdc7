"""``--finetune auto``: try strategies from simplest to fullest, as long as the next one is better on the source."""

import logging
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from acclimate import backbones
from acclimate.data.domain import Part
from acclimate.run_folder import RunFolder
from acclimate.runs.models import load_model
from acclimate.runs.outputs import kind_of
from acclimate.workflows.options import Request
from acclimate.workflows.plan import Plan, with_strategy
from acclimate.workflows.resume import check_same
from acclimate.workflows.scoring import predict_part
from acclimate.workflows.train_phase import Machine, train_phase

log = logging.getLogger("acclimate")

STRATEGIES = ("feature_extraction", "partial", "full")
"""Those that are tried, in this order."""


class Begun(TypedDict):
    """What a recipe that was begun says of its strategy."""

    finetune: str
    tried: dict[str, float]


class Selected(NamedTuple):
    """A plan with its strategy, and where its baseline was trained for the first seed, if it was tried."""

    plan: Plan
    trial: RunFolder | None = None


def select_strategy(
    plan: Plan, request: Request, folder: Path, *, before: Begun | None = None, machine: Machine
) -> Selected:
    """The plan with the strategy that was requested, or with the one that was found for a pretrained backbone.

    Each try is the source-only training of the first seed. The next strategy is taken if it lowers the loss on the
    source's validation split, in the mean over its examples, by more than the standard error of that mean; if not, the
    search ends. No label of the target is read, so what is found is the best for the source.

    Args:
        plan: With all weights moving, if no strategy was requested.
        request: What it was made of.
        folder: For the trials, each in a folder of its name; those that are in it already are continued.
        before: ``finetune`` and ``tried`` of a recipe that was begun, which hold.
        machine: Where the trainings run.

    Reference:
        The rule of one standard error: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
    """
    if not _undecided(plan, request):
        return Selected(plan)
    if before is not None:
        trial = RunFolder(folder / before["finetune"])
        found = trial.weights(plan.recipe.seeds[0], "source_only").exists()
        return Selected(with_strategy(plan, before["finetune"], before.get("tried")), trial if found else None)
    best, tried, least = Selected(plan), {}, None
    for name in STRATEGIES:
        candidate = with_strategy(plan, name)
        log.info("--finetune auto: trying %s", name)
        run = _trained(candidate, folder / name, machine)
        losses = validation_losses(run, candidate)
        tried[name] = round(float(losses.mean()), 4)
        if least is not None and not gains(least, losses):
            break
        best, least = Selected(candidate, run), losses
    losses_by_name = ", ".join(f"{name} {loss:.4f}" for name, loss in tried.items())
    log.info("--finetune auto: %s (validation loss of the source: %s)", best.plan.recipe.finetune, losses_by_name)
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
    model = load_model(run, seed, "source_only", shape=plan.shape)
    return kind_of(recipe).of(predict_part(model, plan, part, "source"), part.domain, recipe).losses()


def _undecided(plan: Plan, request: Request) -> bool:
    recipe = plan.recipe
    free = request.finetune == "auto" and plan.source is not None and recipe.trains_a_network and not recipe.pretrain
    return free and backbones.pretrained(recipe.backbone, recipe.backbone_options)


def remove_trials(folder: Path, plan: Plan) -> None:
    """Remove the trials that `select_strategy` left in ``folder``, and the folder if it is then empty."""
    for trial in (RunFolder(folder / name) for name in STRATEGIES):
        if trial.path.is_dir():
            trial.remove_training(plan.recipe.seeds[0], ["source_only"])
    with suppress(OSError):  # it does not exist, or holds files of others
        folder.rmdir()


def _trained(plan: Plan, path: Path, machine: Machine) -> RunFolder:
    run, seed = RunFolder(path), plan.recipe.seeds[0]
    run.check_links()
    check_same(run, plan.recipe)
    if not run.file("recipe.yaml").exists():
        run.write("recipe.yaml", plan.recipe.save)
    if not run.weights(seed, "source_only").exists():
        train_phase(run, plan, seed, "source_only", machine, title=f"trying {path.name}")
    return run
