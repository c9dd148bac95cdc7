"""Settings whose models predict together: as an ensemble, and as one student that learns what it predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from acclimate.recipe import ENSEMBLE, STUDENT, Member, Recipe
from acclimate.workflows.compare.choice import Choice, Table
from acclimate.workflows.compare.grid import BASELINE, Grid, Setting, base_of
from acclimate.workflows.plan import Plan

MOST = 5
"""Members of an ensemble; a teacher of so many takes about as long as the student's own step."""


def members(grid: Grid, choice: Choice, tables: Mapping[int, Table]) -> list[Setting]:
    """The setting with the highest mean rank of each method, the best methods first, at most `MOST`.

    Linear models, those of one of several sources, source-only, and those of which gates reject half of the seeds or
    more take no part.

    Args:
        grid: All settings.
        choice: Their mean ranks.
        tables: What gates say of each seed's models.
    """
    ranked = sorted(choice.ranks, key=lambda name: -choice.ranks[name])
    best: dict[str, Setting] = {}
    for name in ranked:
        setting = grid.settings[name]
        if _may_take_part(setting) and passes([table[name].rejected for table in tables.values()]):
            best.setdefault(setting.method, setting)
    return [one for one in best.values() if _fits(one, next(iter(best.values())))][:MOST]


def _may_take_part(setting: Setting) -> bool:
    return setting.plan.recipe.trains_a_network and setting.method != BASELINE and not setting.source


def passes(reasons: Sequence[str]) -> bool:
    """Whether gates reject less than half of the seeds."""
    return 2 * sum(map(bool, reasons)) < len(reasons)


def _fits(setting: Setting, first: Setting) -> bool:
    """Whether it has the network of another."""
    names = ("backbone", "backbone_options", "finetune", "finetune_options")
    return all(getattr(setting.plan.recipe, name) == getattr(first.plan.recipe, name) for name in names)


def ensemble_of(plan: Plan, some: Sequence[Setting]) -> Setting:
    """The setting whose adapted model is the mean of others.

    Args:
        plan: Says all else.
        some: The members.
    """
    changed = {"method": ENSEMBLE, "options": {}, "members": _members(some)}
    return Setting(ENSEMBLE, {}, replace(plan, recipe=plan.recipe.model_copy(update=changed)), some[0].base)


def student_of(plan: Plan, some: Sequence[Setting]) -> Setting:
    """The setting of a student that learns what others predict together.

    Args:
        plan: Says all else.
        some: The teachers.
    """
    recipe = student_recipe(plan.recipe).model_copy(update={"members": _members(some)})
    alone = Setting(STUDENT, {}, replace(plan, recipe=recipe), teachers=tuple(some))
    return replace(alone, base=base_of(alone))


def student_recipe(recipe: Recipe) -> Recipe:
    """How a student is trained where a method is trained by ``recipe``: it sees one domain."""
    train = recipe.train.model_copy(update={"batch_norm": "concat"})
    return recipe.model_copy(update={"method": STUDENT, "options": {}, "train": train})


def _members(some: Sequence[Setting]) -> tuple[Member, ...]:
    made = (one.plan.recipe for one in some)
    return tuple(Member(method=one.method, options=one.options, train=one.train) for one in made)
