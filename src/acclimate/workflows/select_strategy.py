"""``--finetune auto``: try strategies from simplest to fullest, as long as the next one is better on the source."""

import logging
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from acclimate import backbones, methods
from acclimate.data.domain import Part
from acclimate.run_folder import RunFolder
from acclimate.runs.models import load_model
from acclimate.runs.outputs import kind_of
from acclimate.training.launch import launched
from acclimate.workflows.options import Request
from acclimate.workflows.plan import Plan, methods_tried, tries_several, with_strategy
from acclimate.workflows.resume import check_same
from acclimate.workflows.scoring import predict_part
from acclimate.workflows.train_phase import Machine, expected_baseline_seconds, train_phase

log = logging.getLogger("acclimate")

STRATEGIES = ("feature_extraction", "partial", "full")
"""Those that are tried, in this order."""
BUDGET = 10.0
"""Minutes that a further strategy may take on a CPU."""
OF_STUDENT = 2
"""What a student's training takes, whose teacher predicts every batch, in those of source-only."""
ENOUGH = 100
"""Examples for validation from which no cross-validation is needed."""
PARTS = 3
"""Of a cross-validation; each takes a training."""


class Begun(TypedDict):
    """What a recipe that was begun says of its strategy."""

    finetune: str
    tried: NotRequired[dict[str, float]]


class Selected(NamedTuple):
    """A plan with its strategy, and where its baseline was trained for the first seed, if it was tried."""

    plan: Plan
    trial: RunFolder | None = None


def select_strategy(
    plan: Plan, request: Request, folder: Path, *, before: Begun | None = None, machine: Machine
) -> Selected:
    """The plan with the strategy that was requested, or with the one that was found for a pretrained backbone.

    Each try is the source-only training of the first seed. The next strategy is taken if it lowers the error on the
    source's validation split, in the mean over its examples, by more than the standard error of that mean; if not, the
    search ends. The error is the share of wrong classes, or the squared error of numbers; log loss also falls where
    the same classes are predicted more surely. Where the split has fewer than 100 examples, the error is
    cross-validated. No label of the target is read, so what is found is the best for the source.

    Before each further strategy a few steps are timed. The search also ends if the strategy would take longer than
    the budget.

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
        if least is not None and not _within_budget(candidate, request, folder / name):
            break
        log.info("--finetune auto: trying %s", name)
        errors, run = _validated(candidate, folder / name, machine)
        tried[name] = round(float(errors.mean()), 4)
        if least is not None and not gains(least, errors):
            break
        best, least = Selected(candidate, run), errors
    errors_by_name = ", ".join(f"{name} {error:.4f}" for name, error in tried.items())
    log.info("--finetune auto: %s (validation error of the source: %s)", best.plan.recipe.finetune, errors_by_name)
    recipe = best.plan.recipe.model_copy(update={"tried": tried})
    return best._replace(plan=replace(best.plan, recipe=recipe))


def _within_budget(plan: Plan, request: Request, folder: Path) -> bool:
    """Whether a strategy may be tried; tells how long it takes, unless its trial has begun already."""
    usual = math.inf if torch.cuda.is_available() else BUDGET
    budget = usual if request.budget is None else request.budget
    if math.isinf(budget) or _of_part(folder, _parts(plan)[0]).exists() or launched():
        return True
    name, minutes = plan.recipe.finetune, _expected_minutes(plan, request, folder)
    about = float(f"{minutes:.2g}")
    if minutes > budget:
        log.warning("--finetune auto: %s takes about %g minutes, more than --budget %g; not tried", name, about, budget)
    else:
        log.info("--finetune auto: %s takes about %g minutes (--budget %g)", name, about, budget)
    return minutes <= budget


def _expected_minutes(plan: Plan, request: Request, folder: Path) -> float:
    """How long a strategy takes: its trial and, if it is then chosen, the trainings of the Run that are left."""
    recipe, parts = plan.recipe, len(_parts(plan))
    baseline = expected_baseline_seconds(RunFolder(folder), plan, recipe.seeds[0])
    seeds, several = len(recipe.seeds), tries_several(request, recipe.task)
    names = methods_tried(plan.source) if several else [recipe.method]
    domains = sum(len({"source", "target"} & set(methods.get(name).needs)) for name in names)
    baselines = seeds if parts > 1 else seeds - 1  # with one part the trial's model is that of the first seed
    adapted = seeds * (domains + OF_STUDENT * several) if "adapted" in recipe.phases else 0
    return baseline * (parts + baselines + adapted) / 60


def gains(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether errors ``(n,)`` of the same examples are less ``after`` by more than a standard error."""
    gained = before - after
    return bool(len(gained) > 1 and gained.mean() > gained.std(ddof=1) / math.sqrt(len(gained)))


def _validated(plan: Plan, folder: Path, machine: Machine) -> tuple[NDArray[np.float64], RunFolder | None]:
    """The baseline's errors ``(n,)`` on examples it has not learnt from, and where it is if it is that of the Run."""
    parts = _parts(plan)
    runs = [_trained(part, _of_part(folder, part), machine) for part in parts]
    errors = [validation_errors(run, part) for run, part in zip(runs, parts, strict=True)]
    if len(parts) == 1:
        return errors[0], runs[0]
    rows = np.concatenate([part.held(plan.recipe.seeds[0]) for part in parts])
    return np.concatenate(errors)[np.argsort(rows)], None


def _parts(plan: Plan) -> list[Plan]:
    """The plan itself, or, if its validation split is small, one plan for each part of a cross-validation."""
    if len(plan.held(plan.recipe.seeds[0])) >= ENOUGH:
        return [plan]
    return [replace(plan, fold=(part, PARTS)) for part in range(PARTS)]


def _of_part(folder: Path, plan: Plan) -> Path:
    """Where the trial of a plan lies, beside those of the other parts."""
    return folder.with_name(f"{folder.name}_part_{plan.fold[0]}") if plan.fold else folder


def validation_errors(run: RunFolder, plan: Plan) -> NDArray[np.float64]:
    """The baseline's error on each validation example of the source ``(n,)``."""
    assert plan.source
    seed, recipe = plan.recipe.seeds[0], plan.recipe
    part = Part(plan.source, plan.held(seed))
    model = load_model(run, seed, "source_only", shape=plan.shape)
    return kind_of(recipe).of(predict_part(model, plan, part, "source"), part.domain, recipe).errors()


def _undecided(plan: Plan, request: Request) -> bool:
    recipe = plan.recipe
    free = request.finetune == "auto" and plan.source is not None and recipe.trains_a_network and not recipe.pretrain
    return free and backbones.pretrained(recipe.backbone, recipe.backbone_options)


def remove_trials(folder: Path, plan: Plan) -> None:
    """Remove the trials that `select_strategy` left in ``folder``, and the folder if it is then empty."""
    parts = [plan, *(replace(plan, fold=(part, PARTS)) for part in range(PARTS))]
    for trial in (_of_part(folder / name, part) for name in STRATEGIES for part in parts):
        if trial.is_dir():
            RunFolder(trial).remove_training(plan.recipe.seeds[0], ["source_only"])
    with suppress(OSError):  # it does not exist, or holds files of others
        folder.rmdir()


def _trained(plan: Plan, path: Path, machine: Machine) -> RunFolder:
    run, seed = RunFolder(path), plan.recipe.seeds[0]
    run.check_links()
    check_same(run, plan.recipe)
    if not run.file("recipe.yaml").exists():
        run.write("recipe.yaml", plan.recipe.save)
    if not run.weights(seed, "source_only").exists():
        train_phase(run, plan, seed, "source_only", machine, title=f"trying {plan.recipe.finetune}")
    return run
