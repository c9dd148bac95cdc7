"""What is compared: methods that suit the data, each with a few settings, beside the source-only models they need."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from acclimate import methods, plugins
from acclimate.data import Domain
from acclimate.data.several import Sources, lacking, short_names
from acclimate.data.source import Source
from acclimate.errors import BadInput
from acclimate.methods import shallow
from acclimate.recipe import LINEAR, Options, Recipe
from acclimate.training import linear
from acclimate.workflows.early import ALL
from acclimate.workflows.label_curves import Strategy
from acclimate.workflows.options import CompareRequest, Request, TrainingOptions
from acclimate.workflows.plan import Plan, make_plan, with_strategy
from acclimate.workflows.train_phase import method_class

log = logging.getLogger("acclimate")

BASELINE = "source_only"
FACTOR = 0.3
"""By which the second setting of a method differs from its default: about half an order of magnitude."""
NETWORK_ONLY = ("steps", "precision", "weights", "augment", "image_size")
"""Options that have no effect on a linear model."""


@dataclass(frozen=True)
class Setting:
    """One method with one setting; each seed of it is a cell.

    Attributes:
        name: The method, and what differs from its defaults.
        given: What differs, by dotted name.
        plan: With all seeds.
        base: The setting of the source-only model that a Run of it has beside it; none of source-only itself.
        teachers: The settings whose mean prediction a student learns.
        source: The one of several sources that it is trained on alone; empty if it is trained on all.
    """

    name: str
    given: Mapping[str, float]
    plan: Plan
    base: "Setting | None" = None
    teachers: "tuple[Setting, ...]" = ()
    source: str = ""

    @property
    def method(self) -> str:
        """The method's name."""
        return self.plan.recipe.method

    @property
    def starts_from_base(self) -> bool:
        """Whether its training starts from the weights of the source-only model."""
        return self.plan.recipe.trains_a_network and bool(method_class(self.method).starts_from)


@dataclass(frozen=True)
class Grid:
    """All that is compared.

    Attributes:
        settings: By name; the first is source-only with its defaults.
        left_out: Methods that do not suit the data, with the reason.
    """

    settings: Mapping[str, Setting]
    left_out: Mapping[str, str]

    @property
    def reference(self) -> Setting:
        """Source-only with its defaults, which all others are compared with."""
        return next(iter(self.settings.values()))

    def reference_of(self, setting: Setting) -> Setting:
        """Source-only with its defaults on the source, or the sources, of a setting."""
        return next(one for one in self.settings.values() if one.source == setting.source)


@dataclass(frozen=True)
class Planned:
    """A plan of each method, before the fine-tuning strategy is chosen.

    Attributes:
        first: Source-only's.
        request: What it was made of.
        others: Those of the other methods.
        left_out: Methods that do not suit the data, with the reason.
        alone: The same for each of several sources, by a short name.
    """

    first: Plan
    request: Request
    others: Mapping[str, Plan]
    left_out: Mapping[str, str]
    alone: Mapping[str, "Planned"] = field(default_factory=dict)


def plan_all(source: Sources, target: Source, request: CompareRequest) -> Planned:
    """Read the domains once, and plan every method on them; of several sources on all together and on each alone.

    Raises:
        BadInput: The domains or options cannot be used, or a method that is named does not suit the data.
    """
    names = _names(request)
    network = not names or any(name not in shallow.names() and name != BASELINE for name in names)
    asked = _request(request, BASELINE, linear_model=not network or request.backbone == LINEAR)
    first = make_plan(source, target, asked)
    if first.recipe.task == "regression":
        raise BadInput(f"{first.recipe.source.path}: has numbers as labels, and compare chooses among classifiers")
    _check_settings(request.settings or {}, names or _all_names(), request.finetune)
    planned = _planned(first, asked, request)
    alone, aside = _plan_each(planned, request)
    return replace(planned, alone=alone, left_out={**planned.left_out, **aside})


def _planned(first: Plan, asked: Request, request: CompareRequest) -> Planned:
    """A plan of every method on the domains of source-only's."""
    names = _names(request)
    plans, left_out = {}, {}
    for name in names or _all_names():
        if name == BASELINE:
            continue
        try:
            plans[name] = _plan_like(first, name, request)
        except BadInput as error:
            if names or _suits(first, name, request):  # then a setting is wrong
                raise
            left_out[name] = error.message
    return Planned(first, asked, plans, left_out)


def _plan_each(pooled: Planned, request: CompareRequest) -> tuple[dict[str, Planned], dict[str, str]]:
    """The plans for each of several sources alone, and those sources that cannot be alone, with the reason."""
    assert pooled.first.source
    members = pooled.first.source.members
    without = {id(one): classes for one, classes in lacking(pooled.first.source)}
    alone, aside = {}, {}
    for name, member in zip(short_names([one.name for one in members]), members, strict=True):
        if id(member) in without:
            aside[f"{name} alone"] = f"has no example of class {without[id(member)][0]!r}, which other sources have"
            continue
        try:
            own = alone[name] = _planned(_plan_alone(pooled.first, member, pooled.request), pooled.request, request)
        except BadInput as error:
            aside[f"{name} alone"] = error.message
            continue
        aside |= {_on(method, name): why for method, why in own.left_out.items() if method not in pooled.left_out}
    return alone, aside


def _plan_alone(pooled: Plan, member: Domain, asked: Request) -> Plan:
    """The plan of source-only on one of several sources, as `adapt` would make it."""
    plan = make_plan(member, _told(pooled.target), _unscored(asked, pooled), checked=True)
    return _scored_like(plan, pooled)


def _on(name: str, source: str) -> str:
    """What a setting is called that is trained on one of several sources."""
    return f"{name} on {source}"


def _suits(first: Plan, method: str, request: CompareRequest) -> bool:
    """Whether a method with its defaults suits the data."""
    try:
        _plan_like(first, method, request.model_copy(update={"settings": None}))
    except BadInput:
        return False
    return True


def make_grid(planned: Planned, chosen: Plan) -> Grid:
    """The settings of every method.

    Args:
        planned: The plans.
        chosen: Source-only's plan with the fine-tuning strategy that was chosen for all networks.
    """
    settings, left_out = _settings_of(planned, chosen)
    for source, own in planned.alone.items():
        first = (
            with_strategy(own.first, chosen.recipe.finetune, chosen.recipe.tried) if chosen.recipe.tried else own.first
        )
        found, aside = _settings_of(own, first)
        settings |= _alone(found, source)
        left_out |= {_on(name, source): why for name, why in aside.items() if name not in left_out}
    for name, reason in left_out.items():
        log.info("%s is left out: %s", name, reason)
    return Grid(settings, left_out)


def _alone(settings: Mapping[str, Setting], source: str) -> dict[str, Setting]:
    """The settings on one of several sources, under names of their own."""
    named = {}
    for one in settings.values():
        base = one.base and replace(one.base, name=_on(one.base.name, source), source=source)
        own = replace(one, name=_on(one.name, source), base=base, source=source)
        named[own.name] = own
    return named


def _settings_of(planned: Planned, chosen: Plan) -> tuple[dict[str, Setting], dict[str, str]]:
    """The settings of every method on one source, and the methods that are left out, with the reason."""
    left_out = dict(planned.left_out)
    settings = {one.name: one for one in _variants(chosen)}
    for name, plan in planned.others.items():
        try:
            same = with_strategy(plan, chosen.recipe.finetune, chosen.recipe.tried) if _follows(plan, chosen) else plan
        except BadInput as error:
            left_out[name] = error.message
            continue
        for one in _variants(same):
            base = known(settings, base_of(one))
            settings |= {base.name: base, one.name: replace(one, base=base)}
    return settings, left_out


def base_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the source-only model that a Run of this recipe trains beside the method."""
    changed: dict[str, object] = {
        "method": BASELINE,
        "options": {},
        "augment": recipe.augment.model_copy(update={"target": "none"}),
        "plugins": plugins.origins(BASELINE, recipe.backbone),
        "members": (),
        "tried_methods": {},
    }
    if recipe.trains_a_network:
        changed["options"] = dict(method_class(recipe.method).start_options)
        changed["train"] = recipe.train.model_copy(update={"batch_norm": "concat"})
    else:
        changed["backbone_options"] = {k: v for k, v in recipe.backbone_options.items() if k != "svd"}
    return recipe.model_copy(update=changed)


def _names(request: CompareRequest) -> list[str]:
    """The methods that are named; none if all are wanted."""
    return [] if ALL in request.methods else list(request.methods)


def _all_names() -> list[str]:
    adapting = [name for name in methods.names() if methods.get(name).needs <= {"source", "target"}]
    return [*adapting, *shallow.names()]


def _request(request: CompareRequest, method: str, *, linear_model: bool) -> Request:
    """What `adapt` would be asked for a method."""
    shared = request.model_dump(include=set(TrainingOptions.model_fields) - {"settings"})
    settings = {k: v for k, v in (request.settings or {}).items() if _takes(method, k, request.finetune)}
    if linear_model:
        shared |= dict.fromkeys(NETWORK_ONLY) | {"backbone": LINEAR, "finetune": "auto"}
    return Request(**shared, method=method, score=request.score, settings=settings, task="auto")


def adapt_options(request: CompareRequest, setting: Setting) -> dict[str, object]:
    """The options with which `adapt` trains what the cells of a setting have trained."""
    recipe = setting.plan.recipe
    asked = _request(request, recipe.method, linear_model=not recipe.trains_a_network)
    given = {name: getattr(asked, name) for name in Request.model_fields if name in asked.model_fields_set}
    strategy = recipe.finetune if recipe.trains_a_network else "auto"
    return {**given, "finetune": strategy, "settings": {**(asked.settings or {}), **setting.given}}


def _plan_like(first: Plan, method: str, request: CompareRequest) -> Plan:
    """The plan of a method on the domains of another plan."""
    assert first.source
    asked = _request(request, method, linear_model=method in shallow.names())
    plan = make_plan(first.source, _told(first.target), _unscored(asked, first), like=first)
    return _scored_like(plan, first)


def _told(target: Domain) -> Domain:
    """The target of a plan that has told that labels are set aside."""
    return replace(target, labels_set_aside=False)


def _unscored(asked: Request, first: Plan) -> Request:
    """What is asked, without what the first plan has checked."""
    return asked.model_copy(update={"score": None, "positive": (), "tta": (), "task": first.recipe.task})


def _scored_like(plan: Plan, first: Plan) -> Plan:
    recipe = plan.recipe.model_copy(update={"score": first.recipe.score})
    same = replace(plan, target=first.target, score=first.score)
    return replace(same, recipe=recipe, positive=first.positive, tta=first.tta)


def _takes(method: str, key: str, finetune: str) -> bool:
    """Whether a setting has an effect on a method."""
    section, _, name = key.partition(".")
    if method in shallow.names():
        own = name in linear.options() if section == "backbone" else section in shallow.options(method)
        return own or key == "train.validation"
    if section == "backbone" and name in linear.options():
        return False
    return Strategy(method, method, finetune).takes(key)


def _check_settings(settings: Mapping[str, object], names: Sequence[str], finetune: str) -> None:
    for key in settings:
        if not any(_takes(name, key, finetune) for name in (BASELINE, *names)):
            raise BadInput(f"--set {key}: has no effect on any of the methods; remove it")


def _follows(plan: Plan, chosen: Plan) -> bool:
    """Whether a plan takes over the strategy that was tried on another one."""
    return plan.recipe.trains_a_network and bool(chosen.recipe.tried)


def _variants(plan: Plan) -> Iterator[Setting]:
    """A method with its defaults, and with its weight or else its learning rate reduced."""
    method = plan.recipe.method
    yield Setting(method, {}, plan)
    for given in _other_settings(plan.recipe):
        yield Setting(_called(method, given), given, replace(plan, recipe=_with(plan.recipe, given)))


def _other_settings(recipe: Recipe) -> list[Options]:
    if not recipe.trains_a_network:
        return []
    known = methods.options(recipe.method)
    weight = recipe.options.get("weight", known["weight"].default if "weight" in known else None)
    if isinstance(weight, int | float):
        return [{"weight": _reduced(weight)}]
    return [] if recipe.train.lr is None else [{"train.lr": _reduced(recipe.train.lr)}]


def _reduced(value: float) -> float:
    return float(f"{value * FACTOR:.6g}")


def _with(recipe: Recipe, given: Options) -> Recipe:
    """The recipe with other settings, as `adapt` would make it."""
    of_training = {k.removeprefix("train."): v for k, v in given.items() if k.startswith("train.")}
    options = {k: v for k, v in given.items() if not k.startswith("train.")}
    train = recipe.train.model_copy(update=of_training)
    return recipe.model_copy(update={"options": {**recipe.options, **options}, "train": train})


def base_of(setting: Setting) -> Setting:
    """The source-only model beside a setting, under a name that tells what its training shares with it."""
    plan = replace(setting.plan, recipe=base_recipe(setting.plan.recipe))
    given = {**plan.recipe.options, **{k: v for k, v in setting.given.items() if k.startswith("train.")}}
    if bottleneck := plan.recipe.backbone_options.get("bottleneck"):
        given["backbone.bottleneck"] = bottleneck
    model = "" if plan.recipe.trains_a_network else " (linear)"
    return Setting(_called(BASELINE, given) + model, given, plan)


def known(settings: Mapping[str, Setting], setting: Setting) -> Setting:
    """The setting of the same recipe that is there already, or this one."""
    same = (one for one in settings.values() if one.plan.recipe == setting.plan.recipe)
    return next(same, setting)


def _called(method: str, given: Mapping[str, object]) -> str:
    """A name for a method with settings.

    Example:
        >>> _called("mcc", {"weight": 0.3}), _called("nrc", {"train.lr": 0.0003})
        ('mcc weight=0.3', 'nrc lr=0.0003')
    """
    return " ".join([method, *(f"{key.rpartition('.')[2]}={value}" for key, value in given.items())])
