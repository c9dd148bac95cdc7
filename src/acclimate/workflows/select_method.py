"""``--method auto`` and ``ensemble``: train source-only and a few methods, and let those predict that pass gates."""

import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from acclimate.errors import BadInput
from acclimate.recipe import AUTO, ENSEMBLE, STUDENT
from acclimate.run_folder import RunFolder
from acclimate.validators.gates import reasons
from acclimate.workflows.compare.cells import Cell, Store, place, place_ensemble
from acclimate.workflows.compare.grid import BASELINE, Setting, base_recipe
from acclimate.workflows.compare.pool import of_cell
from acclimate.workflows.compare.portions import portions
from acclimate.workflows.compare.together import ensemble_of, student_of, student_recipe
from acclimate.workflows.compare.work import work
from acclimate.workflows.options import Request
from acclimate.workflows.plan import Plan, make_plan, methods_tried, options_tried, tries_several, with_strategy
from acclimate.workflows.resume import CannotResume
from acclimate.workflows.select_strategy import BUDGET, Selected
from acclimate.workflows.train_phase import Machine

log = logging.getLogger("acclimate")


def select_method(selected: Selected, request: Request, run: RunFolder, *, machine: Machine) -> Selected:
    """The plan with the method that was requested, or with what several methods lead to.

    Source-only and each method are trained on all seeds. A method of which gates reject the models of half of the seeds
    or more is left out. The mean of the others' probabilities is what ``ensemble`` predicts, and what ``auto`` teaches
    a student. If all are left out, or the student itself is, source-only remains. Every model stays in the Run's folder
    ``trials``. A further method is tried only as long as the time that all take is expected to be within the budget.

    Args:
        selected: A plan with a fine-tuning strategy.
        request: What it was made of.
        run: The Run; a choice that its recipe has already holds.
        machine: Where the trainings run.

    Raises:
        BadInput: The source-only model cannot be trained.
        CannotResume: The Run was made with the other of the two.
    """
    plan = selected.plan
    if not tries_several(request, plan.recipe.task):
        return selected
    if run.file("recipe.yaml").exists():
        return selected._replace(plan=_as_made(plan, run, request.method))
    store = Store(run.file("trials"))
    reference = Setting(BASELINE, {}, replace(plan, recipe=base_recipe(plan.recipe)))
    _take_baselines(store, reference, selected.trial)
    settings = _try(store, reference, plan, request, machine)
    why = {name: _why_not(store, one, reference) for name, one in settings.items() if name != BASELINE}
    passed = [settings[name] for name, reason in why.items() if not reason]
    log.info("--method %s: %s", request.method, _told(why))
    chosen = _together(plan, reference, passed, request.method)
    if chosen.teachers:
        why |= _teach(store, chosen, reference, machine)
        chosen = reference if why[STUDENT] and not request.no_guard else chosen
    seeds = [Cell(reference, seed) for seed in plan.recipe.seeds]
    for cell in seeds:
        place(store, [cell, *([Cell(chosen, cell.seed)] if chosen.teachers else [])], run)
        if chosen.method == ENSEMBLE:
            place_ensemble(store, [Cell(one, cell.seed) for one in passed], run, "adapted")
    store.tidy([Cell(one, cell.seed) for one in (*settings.values(), chosen) for cell in seeds])
    recipe = chosen.plan.recipe.model_copy(update={"score": plan.recipe.score, "tried_methods": why})
    return selected._replace(plan=replace(plan, recipe=recipe))


def _as_made(plan: Plan, run: RunFolder, method: str) -> Plan:
    """The plan with the choice that a Run has made."""
    made = run.recipe
    by = {ENSEMBLE: ENSEMBLE, STUDENT: AUTO}.get(made.method, method if made.tried_methods else made.method)
    if by != method:
        why = f"--method {method}, but the Run was made with {by}"
        raise CannotResume(f"{run.path}: cannot resume: {why}; use the same, or choose another -o")
    recipe = {ENSEMBLE: plan.recipe, STUDENT: student_recipe(plan.recipe)}.get(made.method, base_recipe(plan.recipe))
    kept = {name: getattr(made, name) for name in ("method", "options", "train", "members", "tried_methods")}
    return replace(plan, recipe=recipe.model_copy(update=kept))


def _try(store: Store, reference: Setting, plan: Plan, request: Request, machine: Machine) -> dict[str, Setting]:
    """Train source-only and as many methods as the budget allows; those that were trained, by name."""
    settings, began = {BASELINE: reference}, time.monotonic()
    for name in (BASELINE, *methods_tried(plan.source)):
        setting = settings.get(name) or Setting(name, {}, _planned(name, plan, request), reference)
        if not _within_budget(name, len(settings), time.monotonic() - began, request):
            break
        settings[name] = setting
        log.info("--method %s: trying %s", request.method, name)
        cells = [Cell(setting, seed) for seed in plan.recipe.seeds]
        work(store, portions(cells, machine), machine)
        if name == BASELINE and (failed := [why for cell in cells if (why := store.failure(cell))]):
            raise BadInput(f"{BASELINE}: {failed[0]}")
    return settings


def _planned(method: str, plan: Plan, request: Request) -> Plan:
    """The plan of a method on the domains of another plan, with its strategy."""
    if method == plan.recipe.method:
        return plan
    source = plan.source or plan.origin
    assert source
    settings = {**(request.settings or {}), **options_tried(method)}
    alone = request.model_copy(
        update={"method": method, "settings": settings, "score": None, "audit": None, "positive": (), "tta": ()}
    )
    found = make_plan(source, plan.target, alone, like=plan)
    return with_strategy(found, plan.recipe.finetune, plan.recipe.tried) if plan.recipe.tried else found


def _within_budget(name: str, done: int, elapsed: float, request: Request) -> bool:
    """Whether a further method may be tried: it is expected to take as long as those before it did on average."""
    usual = math.inf if torch.cuda.is_available() else BUDGET
    budget = usual if request.budget is None else request.budget
    if done < 2 or math.isinf(budget):
        return True
    minutes = elapsed * (1 + 1 / done) / 60
    if minutes > budget:
        text = "--method %s: %s not tried: with it, all take about %.2g minutes, more than --budget %g"
        log.warning(text, request.method, name, minutes, budget)
    return minutes <= budget


def _why_not(store: Store, setting: Setting, reference: Setting) -> str:
    """Why a method takes no part: it failed, or gates reject its models of half of the seeds or more."""
    cells = [(Cell(reference, seed), Cell(setting, seed)) for seed in setting.plan.recipe.seeds]
    if failed := [why for cell in (cell for pair in cells for cell in pair) if (why := store.failure(cell))]:
        return failed[0]
    found = [reasons([of_cell(store, cell) for cell in pair], 0)[1] for pair in cells]
    rejected = [reason for reason in found if reason]
    return rejected[0] if 2 * len(rejected) >= len(found) else ""


def _together(plan: Plan, reference: Setting, passed: Sequence[Setting], method: str) -> Setting:
    """What the methods that pass lead to: an ensemble, its student, or source-only if there are none."""
    if not passed:
        return reference
    return ensemble_of(plan, passed) if method == ENSEMBLE else replace(student_of(plan, passed), base=reference)


def _teach(store: Store, student: Setting, reference: Setting, machine: Machine) -> dict[str, str]:
    """Train the student of all seeds; why it is not kept, by its name."""
    names = ", ".join(one.method for one in student.teachers)
    log.info("--method %s: a student learns what %s predict together", AUTO, names)
    cells = [Cell(student, seed) for seed in student.plan.recipe.seeds]
    work(store, portions(cells, machine), machine)
    why = _why_not(store, student, reference)
    if why:
        log.warning("--method %s: a gate speaks against the student: %s", AUTO, why)
    return {STUDENT: why}


def _told(why: Mapping[str, str]) -> str:
    passed = [name for name, reason in why.items() if not reason]
    out = [f"{name} is left out: {reason}" for name, reason in why.items() if reason]
    return "; ".join([f"{', '.join(passed)} predict together" if passed else "source-only remains", *out])


def _take_baselines(store: Store, reference: Setting, trial: RunFolder | None) -> None:
    """Take over source-only models that are trained: of the Run in the source's place, or of a strategy's trial."""
    seeds, origin = reference.plan.recipe.seeds, reference.plan.origin
    known = dict.fromkeys(seeds, origin) if origin else {seeds[0]: trial}
    for seed, folder in known.items():
        cell = Cell(reference, seed)
        if folder is None or store.is_settled(cell):
            continue
        for path in folder.weights(seed, BASELINE), *([] if origin else [folder.file("losses.jsonl")]):
            store.work(cell).write(str(path.relative_to(folder.path)), partial(shutil.copyfile, path))
