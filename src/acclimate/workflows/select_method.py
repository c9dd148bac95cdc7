"""``--method ensemble``: train source-only and a few methods, and let those predict together that pass the gates."""

import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from safetensors.torch import load_file, save_file

from acclimate.errors import BadInput
from acclimate.recipe import Member, Recipe
from acclimate.run_folder import RunFolder
from acclimate.validators.gates import reasons
from acclimate.workflows.compare.cells import Cell, Store, place
from acclimate.workflows.compare.grid import BASELINE, Setting, base_recipe
from acclimate.workflows.compare.pool import of_cell
from acclimate.workflows.compare.work import work
from acclimate.workflows.early import ENSEMBLE
from acclimate.workflows.options import Request
from acclimate.workflows.plan import Plan, make_plan, with_strategy
from acclimate.workflows.select_strategy import BUDGET, Selected
from acclimate.workflows.train_phase import Machine

log = logging.getLogger("acclimate")

METHODS = ("shot", "nrc", "dann", "cdan")
"""Those that are tried beside source-only; they differ in principle, so that their errors differ."""


def select_method(selected: Selected, request: Request, run: RunFolder, *, machine: Machine) -> Selected:
    """The plan with the method that was requested, or with an ensemble of those that pass the gates.

    Source-only and each method are trained on all seeds. A method of which gates reject the models of half of the seeds
    or more is left out; the others predict together, by the mean of their probabilities. If all are left out,
    source-only remains. Every model stays in the Run's folder ``trials``. A further method is tried only as long as
    the time that all take is expected to be within the budget.

    Args:
        selected: A plan with a fine-tuning strategy.
        request: What it was made of.
        run: The Run; a choice that its recipe has already holds.
        machine: Where the trainings run.

    Raises:
        BadInput: The source-only model cannot be trained.
    """
    plan = selected.plan
    if not is_open(request):
        return selected
    if run.file("recipe.yaml").exists():
        return selected._replace(plan=_as_made(plan, run.recipe))
    store = Store(run.file("trials"))
    reference = Setting(BASELINE, {}, replace(plan, recipe=base_recipe(plan.recipe)))
    if selected.trial:
        _take_trial(store, Cell(reference, plan.recipe.seeds[0]), selected.trial)
    settings = _try(store, reference, plan, request, machine)
    why = {name: _why_not(store, one, reference) for name, one in settings.items() if name != BASELINE}
    passed = [settings[name] for name, reason in why.items() if not reason]
    recipe = _recipe(plan.recipe, reference, passed).model_copy(update={"tried_methods": why})
    log.info("--method ensemble: %s", _told(why))
    for seed in recipe.seeds:
        _place(store, Cell(reference, seed), [Cell(one, seed) for one in passed], run)
    store.tidy([Cell(one, seed) for one in settings.values() for seed in recipe.seeds])
    return selected._replace(plan=replace(plan, recipe=recipe))


def is_open(request: Request) -> bool:
    """Whether several methods are to predict together."""
    return request.method == ENSEMBLE


def _as_made(plan: Plan, made: Recipe) -> Plan:
    """The plan with the choice that a Run has made."""
    kept = {name: getattr(made, name) for name in ("method", "options", "train", "members", "tried_methods")}
    recipe = plan.recipe if made.members else base_recipe(plan.recipe)
    return replace(plan, recipe=recipe.model_copy(update=kept))


def _try(store: Store, reference: Setting, plan: Plan, request: Request, machine: Machine) -> dict[str, Setting]:
    """Train source-only and as many methods as the budget allows; those that were trained, by name."""
    settings, began = {BASELINE: reference}, time.monotonic()
    for name in (BASELINE, *METHODS):
        setting = settings.get(name) or Setting(name, {}, _planned(name, plan, request), reference)
        if not _within_budget(name, len(settings), time.monotonic() - began, request.budget):
            break
        settings[name] = setting
        log.info("--method ensemble: trying %s", name)
        cells = [Cell(setting, seed) for seed in plan.recipe.seeds]
        work(store, cells, machine)
        if name == BASELINE and (failed := [why for cell in cells if (why := store.failure(cell))]):
            raise BadInput(f"{BASELINE}: {failed[0]}")
    return settings


def _planned(method: str, plan: Plan, request: Request) -> Plan:
    """The plan of a method on the domains of another plan, with its strategy."""
    if method == plan.recipe.method:
        return plan
    assert plan.source
    alone = request.model_copy(update={"method": method, "score": None, "audit": None, "positive": (), "tta": ()})
    found = make_plan(plan.source, plan.target, alone, like=plan)
    return with_strategy(found, plan.recipe.finetune, plan.recipe.tried) if plan.recipe.tried else found


def _within_budget(name: str, done: int, elapsed: float, given: float | None) -> bool:
    """Whether a further method may be tried: it is expected to take as long as those before it did on average."""
    usual = math.inf if torch.cuda.is_available() else BUDGET
    budget = usual if given is None else given
    if done < 2 or math.isinf(budget):
        return True
    minutes = elapsed * (1 + 1 / done) / 60
    if minutes > budget:
        text = "--method ensemble: %s not tried: with it, all take about %.2g minutes, more than --budget %g"
        log.warning(text, name, minutes, budget)
    return minutes <= budget


def _why_not(store: Store, setting: Setting, reference: Setting) -> str:
    """Why a method takes no part: it failed, or gates reject its models of half of the seeds or more."""
    cells = [(Cell(reference, seed), Cell(setting, seed)) for seed in setting.plan.recipe.seeds]
    if failed := [why for cell in (cell for pair in cells for cell in pair) if (why := store.failure(cell))]:
        return failed[0]
    found = [reasons([of_cell(store, cell) for cell in pair], 0)[1] for pair in cells]
    rejected = [reason for reason in found if reason]
    return rejected[0] if 2 * len(rejected) >= len(found) else ""


def _recipe(recipe: Recipe, reference: Setting, passed: Sequence[Setting]) -> Recipe:
    """The recipe of the ensemble, or of source-only if no method passes."""
    if not passed:
        return reference.plan.recipe.model_copy(update={"score": recipe.score})
    made = [one.plan.recipe for one in passed]
    members = tuple(Member(method=one.method, options=one.options, train=one.train) for one in made)
    return recipe.model_copy(update={"method": ENSEMBLE, "options": {}, "members": members})


def _told(why: Mapping[str, str]) -> str:
    passed = [name for name, reason in why.items() if not reason]
    out = [f"{name} is left out: {reason}" for name, reason in why.items() if reason]
    return "; ".join([f"{', '.join(passed)} predict together" if passed else "source-only remains", *out])


def _place(store: Store, base: Cell, members: Sequence[Cell], run: RunFolder) -> None:
    """Put the source-only model and the ensemble of one seed into the Run."""
    place(store, [base], run)
    if not members:
        return
    paths = [store.folder(cell).weights(cell.seed, cell.phase) for cell in members]
    state = {f"members.{i}.{name}": tensor for i, path in enumerate(paths) for name, tensor in load_file(path).items()}
    run.write(f"models/{run.weights(base.seed, 'adapted').name}", lambda path: save_file(state, path))


def _take_trial(store: Store, cell: Cell, trial: RunFolder) -> None:
    """Take over the baseline that was trained when its strategy was tried: it is the same training."""
    if store.is_settled(cell):
        return
    run = store.work(cell)
    for name in "losses.jsonl", f"models/{trial.weights(cell.seed, 'source_only').name}":
        run.write(name, partial(shutil.copyfile, trial.file(name)))
