"""``--method auto``: train source-only and a few methods, and choose one of them without labels of the target."""

import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.workflows.compare.cells import Cell, Store, place
from acclimate.workflows.compare.choice import Choice, choose, judge
from acclimate.workflows.compare.grid import BASELINE, Setting, base_recipe
from acclimate.workflows.compare.pool import pool
from acclimate.workflows.compare.work import work
from acclimate.workflows.options import Request
from acclimate.workflows.plan import Plan, make_plan, with_strategy
from acclimate.workflows.select_strategy import BUDGET, Selected
from acclimate.workflows.train_phase import Machine

log = logging.getLogger("acclimate")

METHODS = ("self_training", "mcc", "cdan")
"""Those that are tried beside source-only, the most useful first."""


def select_method(selected: Selected, request: Request, run: RunFolder, *, machine: Machine) -> Selected:
    """The plan with the method that was requested, or with the one that was chosen without labels of the target.

    Source-only and each method are trained on all seeds. Gates reject models that collapsed, validators rank the
    others, and the method with the highest mean rank over seeds is chosen; see `validators.selection.select`. Its
    models are copied into the Run; the others stay in its folder ``trials``. A further method is tried only as long as
    the time that it is expected to take is within the budget.

    Args:
        selected: A plan with a fine-tuning strategy.
        request: What it was made of.
        run: The Run; a choice that its recipe has already holds.
        machine: Where the trainings run.

    Raises:
        BadInput: The source-only model cannot be trained.
    """
    plan = selected.plan
    if not is_open(plan, request):
        return selected
    if run.file("recipe.yaml").exists():
        return replace_plan(selected, _planned(run.recipe.method, plan, request), run.recipe.chosen_from)
    store, began = Store(run.file("trials")), time.monotonic()
    reference = Setting(BASELINE, {}, replace(plan, recipe=base_recipe(plan.recipe)))
    settings = {BASELINE: reference}
    if selected.trial:
        _take_trial(store, Cell(reference, plan.recipe.seeds[0]), selected.trial)
    for name in (BASELINE, *METHODS):
        if name != BASELINE:
            settings[name] = _setting(_planned(name, plan, request), reference)
        if not _within_budget(name, len(settings) - 1, time.monotonic() - began, request.budget):
            del settings[name]
            break
        log.info("--method auto: trying %s", name)
        work(store, [Cell(settings[name], seed) for seed in plan.recipe.seeds], machine)
    choice = _chosen(store, settings, plan.recipe.seeds)
    ranks = {name: round(rank, 4) for name, rank in choice.ranks.items()}
    log.info("--method auto: %s (%s)", choice.name, ", ".join(f"{name} {rank:.2f}" for name, rank in ranks.items()))
    setting = settings[choice.name]
    _place(store, setting, run)
    store.tidy([Cell(one, seed) for one in settings.values() for seed in plan.recipe.seeds])
    return replace_plan(selected, setting.plan, ranks)


def _setting(plan: Plan, reference: Setting) -> Setting:
    """A method with its defaults, beside the source-only model that it is compared with."""
    recipe = base_recipe(plan.recipe)
    same = recipe == reference.plan.recipe
    return Setting(
        plan.recipe.method, {}, plan, reference if same else Setting(BASELINE, {}, replace(plan, recipe=recipe))
    )


def is_open(plan: Plan, request: Request) -> bool:
    """Whether the method is still to be chosen."""
    recipe, usual = plan.recipe, plan.target_labels is None and plan.source is not None
    return request.method == "auto" and usual and recipe.task == "classification" and not recipe.pretrain


def replace_plan(selected: Selected, plan: Plan, ranks: Mapping[str, float]) -> Selected:
    """The plan of the method that was chosen, with the ranks of all."""
    return Selected(replace(plan, recipe=plan.recipe.model_copy(update={"chosen_from": dict(ranks)})), selected.trial)


def _planned(method: str, plan: Plan, request: Request) -> Plan:
    """The plan of a method on the domains of another plan, with its strategy."""
    if method == plan.recipe.method:
        return plan
    if method == BASELINE:
        return replace(plan, recipe=base_recipe(plan.recipe))
    assert plan.source
    alone = request.model_copy(update={"method": method, "score": None, "audit": None, "positive": (), "tta": ()})
    found = make_plan(plan.source, plan.target, alone, like=plan)
    found = with_strategy(found, plan.recipe.finetune, plan.recipe.tried) if plan.recipe.tried else found
    recipe = found.recipe.model_copy(update={"score": plan.recipe.score})
    return replace(
        found, recipe=recipe, score=plan.score, audit=plan.audit, positive=plan.positive, tta=plan.tta, guard=plan.guard
    )


def _within_budget(name: str, done: int, elapsed: float, given: float | None) -> bool:
    """Whether a further method may be tried: it is expected to take as long as those before it did on average."""
    usual = math.inf if torch.cuda.is_available() else BUDGET
    budget = usual if given is None else given
    if done < 2 or math.isinf(budget):
        return True
    minutes = elapsed * (1 + 1 / done) / 60
    if minutes > budget:
        text = "--method auto: %s not tried: with it, all take about %.2g minutes, more than --budget %g"
        log.warning(text, name, minutes, budget)
    return minutes <= budget


def _chosen(store: Store, settings: Mapping[str, Setting], seeds: Sequence[int]) -> Choice:
    """The choice among the settings that were trained on all seeds."""
    if why := store.failure(Cell(settings[BASELINE], seeds[0])):
        raise BadInput(f"source_only: {why}")
    tables = [judge(pool(store, [Cell(one, seed) for one in settings.values()]), BASELINE) for seed in seeds]
    return choose(tables, BASELINE)


def _place(store: Store, setting: Setting, run: RunFolder) -> None:
    """Copy the models of a method, and the source-only ones, into the Run."""
    own = [Cell(setting, seed) for seed in setting.plan.recipe.seeds]
    place(store, [cell for one in own for cell in (one.base, one) if cell is not None], run)


def _take_trial(store: Store, cell: Cell, trial: RunFolder) -> None:
    """Take over the baseline that was trained when its strategy was tried: it is the same training."""
    if store.is_settled(cell):
        return
    run = store.work(cell)
    for name in "losses.jsonl", f"models/{trial.weights(cell.seed, 'source_only').name}":
        run.write(name, partial(shutil.copyfile, trial.file(name)))
