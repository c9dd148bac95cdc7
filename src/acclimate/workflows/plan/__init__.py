"""From a request to all that is decided before training: domains, preprocessing, a recipe."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from acclimate import backbones, finetune, methods, metrics, plugins
from acclimate.augment import tta
from acclimate.data import Domain, preprocess
from acclimate.data.digests import digest
from acclimate.data.domain import Part
from acclimate.data.labels import choose_task, learnt
from acclimate.data.preprocess import Preprocess
from acclimate.data.several import Sources, sources_of
from acclimate.data.source import Source
from acclimate.errors import BadInput
from acclimate.recipe import (
    AUTO,
    ENSEMBLE,
    LINEAR,
    Augmentation,
    DomainSpec,
    Options,
    Recipe,
    Settings,
    TargetLabels,
    Task,
    Training,
    check_options,
    require_classes,
)
from acclimate.run_folder import RunFolder
from acclimate.runs.models import shape_of
from acclimate.runs.run import Run
from acclimate.training import linear
from acclimate.workflows.options import Request
from acclimate.workflows.plan import doubts
from acclimate.workflows.plan.base import Plan
from acclimate.workflows.plan.checks import (
    check_not_source,
    check_source_free,
    check_target_share,
    check_task,
    check_unseen,
    seeds_of,
)
from acclimate.workflows.plan.domains import (
    check_labelled,
    named,
    named_sources,
    read_audit,
    read_origin,
    read_score,
    read_sources,
    read_target,
    read_target_labels,
    score_later,
)
from acclimate.workflows.plan.overlaps import overlaps
from acclimate.workflows.plan.resolve import (
    AUTO_METHOD,
    AUTO_SOURCE_FREE,
    Resolved,
    augmentation_of,
    backbone_options,
    bottleneck_for,
    looks_at_target,
    methods_tried,
    of_method,
    options_tried,
    resolve,
    strategy_of,
    tries_several,
)
from acclimate.workflows.plan.trial_build import check_moves, with_defaults

log = logging.getLogger("acclimate")

__all__ = ["AUTO_METHOD", "Plan", "make_plan", "methods_tried", "options_tried", "tries_several", "with_strategy"]


def make_plan(
    source: Sources | RunFolder, target: Source, request: Request, *, like: Plan | None = None, checked: bool = False
) -> Plan:
    """Read the domains and decide all else.

    Args:
        source: Labelled domain, or several; or a finished Run for methods that need no example of the source.
        target: Domain to adapt to.
        request: All else.
        like: A plan of the same domains, whose preprocessing is taken over where the backbone wants the same.
        checked: The domains are part of another plan's, so that they are not compared again, and no warning is given.

    Raises:
        BadInput: The request contradicts itself or the data; nothing is written.
    """
    origin = read_origin(source)
    if origin is not None:
        plan = _from_run(origin, target, request, like)
    else:
        assert not isinstance(source, RunFolder)
        plan = _from_source(source, target, request, like, checked=checked)
    for note in plan.notes:
        log.warning(note)
    return replace(plan, positive=tuple(request.positive), tta=tuple(request.tta), guard=not request.no_guard)


def with_strategy(plan: Plan, name: str, tried: Mapping[str, float] | None = None) -> Plan:
    """The same plan with another fine-tuning strategy: data and preprocessing stay as they are.

    Args:
        plan: With all weights moving.
        name: The strategy.
        tried: The source's validation error of strategies that were tried.

    Raises:
        BadInput: It leaves nothing for the method to move.
    """
    bottleneck = bottleneck_for(plan.recipe.method, name)
    changed = {
        "finetune": name,
        "finetune_options": {},
        "backbone_options": bottleneck | plan.recipe.backbone_options,
        "tried": dict(tried or {}),
    }
    recipe = plan.recipe.model_copy(update=changed)
    check_moves(recipe, plan.shape)
    return replace(plan, recipe=recipe)


ONE_METHOD: Mapping[str, object] = {"members": (), "tried_methods": {}}
"""What the recipe of an ensemble has beside that of a single method."""


class _Read(NamedTuple):
    """The domains of a request, as they are read."""

    source: Domain
    target: Domain
    labelled: Domain | None
    scored: Domain | None
    audited: Domain | None
    task: Task
    resolved: Resolved


def _from_source(given: Sources, given_target: Source, request: Request, like: Plan | None, *, checked: bool) -> Plan:
    spec, read = request.spec(), _read(given, given_target, request)
    source, target, labelled, scored, audited, task, resolved = read
    backbone = LINEAR if resolved.linear else _backbone(request, source, target)
    of_backbone = backbone_options(backbone, request, resolved)
    spec_of_input = _input_spec(backbone, of_backbone, resolved, source)
    wanted = replace(spec_of_input, size=request.image_size or spec_of_input.size)
    fitted = like.fitted if like is not None and like.wanted == wanted else _fitted(wanted, source, target)
    if resolved.linear:
        of_backbone = linear.check(resolved.method, shape_of(fitted), of_backbone)
    recipe = _recipe(read, request, fitted, like, backbone=backbone, backbone_options=of_backbone)
    check_labelled(labelled, recipe, fitted)
    check_labelled(scored, recipe, fitted)
    check_labelled(audited, recipe, fitted)
    recipe = recipe if resolved.linear else with_defaults(recipe, shape_of(fitted))
    part, score = None if labelled is None else Part(labelled), score_later(request.score, spec)
    plan = Plan(source, None, target, part, fitted, recipe, score, audited, wanted=wanted)
    _check_scoring(plan, request)
    if like is not None or checked:
        return plan
    shared = overlaps(source, target, labelled, scored, audited)
    return replace(plan, notes=(*shared, *doubts.of_source(source, task), *doubts.of_target(target)))


def _read(given: Sources, given_target: Source, request: Request) -> _Read:
    """Read all domains, and decide what the source's labels decide."""
    for flag, unseen in (("--score", request.score), ("--audit", request.audit)):
        for one in sources_of(given):
            check_unseen(unseen, one, "the source itself", flag=flag)
        check_unseen(unseen, request.target_labels, "the labelled target itself", flag=flag)
    spec = request.spec()
    source = read_sources(given, spec)
    task = choose_task(source, request.task)
    resolved = resolve(request, source, task)
    source.require_source(task)
    target = read_target(given_target, spec)
    labelled = read_target_labels(request.target_labels, resolved.method, spec, linear=resolved.linear)
    check_target_share(resolved.training, resolved.method, labelled)
    preprocess.check_kinds(source, target)
    scored, audited = read_score(request.score, spec), read_audit(request.audit, spec, source.kind, source.classes)
    return _Read(source, target, labelled, scored, audited, task, resolved)


def _recipe(
    read: _Read, request: Request, fitted: Preprocess, like: Plan | None, *, backbone: str, backbone_options: Options
) -> Recipe:
    """All that decides the training, before the backbone's defaults."""
    spec, resolved, labelled = request.spec(), read.resolved, read.labelled
    return Recipe(
        source=spec.model_copy(update={"path": read.source.name}),
        sources=named_sources(read.source) if like is None else like.recipe.sources,
        target=spec.model_copy(update={"path": read.target.name}),
        method=resolved.method,
        options=resolved.options,
        backbone=backbone,
        backbone_options=backbone_options,
        train=resolved.training,
        pretrain=resolved.pretrain,
        finetune=resolved.strategy,
        finetune_options=_strategy_options(resolved.strategy, resolved.settings.finetune),
        augment=_augmentation(resolved, request, fitted),
        image_size=request.image_size,
        target_labels=None if labelled is None else TargetLabels(path=labelled.name, n=len(labelled)),
        score=named(read.scored),
        seeds=tuple(range(request.seeds)) if isinstance(request.seeds, int) else tuple(request.seeds),
        task=read.task,
        label_type=read.source.label_type,
        digests=_digests(read.source, read.target, labelled, like),
        **learnt(read.source, read.task),
        plugins=plugins.origins(resolved.method, backbone),
    )


def _digests(source: Domain, target: Domain, labelled: Domain | None, like: Plan | None) -> dict[str, str]:
    """Hashes of what is learnt from; those of a plan of the same domains are taken over."""
    found = {"source": source, "target": target} | ({} if labelled is None else {"target_labels": labelled})
    known = {} if like is None else like.recipe.digests
    return {role: known.get(role) or digest(domain) for role, domain in found.items()}


def _input_spec(name: str, options: Options, resolved: Resolved, source: Domain) -> backbones.InputSpec:
    """The inputs that the backbone wants."""
    spec = backbones.InputSpec() if resolved.linear else backbones.input_spec(name, source.kind, options)
    if spec.encoder and methods.get(resolved.method).moves_inputs:
        raise BadInput(
            f"--backbone: method {resolved.method} perturbs its inputs, and tokens cannot be perturbed; omit it"
        )
    return spec


def _fitted(wanted: backbones.InputSpec, source: Domain, target: Domain) -> Preprocess:
    """The preprocessing, as the backbone wants it."""
    return preprocess.fit(
        source, target, size=wanted.size, interpolation=wanted.interpolation, encoder=wanted.encoder,
        length=wanted.length,
    )  # fmt: skip


def _strategy_options(strategy: str, given: Options) -> Options:
    return check_options(f"--finetune {strategy}", given, finetune.options(strategy))


def _augmentation(resolved: Resolved, request: Request, fitted: Preprocess) -> Augmentation:
    if resolved.linear:
        return Augmentation()
    used = {"source": True, "target": looks_at_target(resolved.method)}
    return augmentation_of(resolved.settings, request, shape_of(fitted), used)


def _backbone(request: Request, source: Domain, target: Domain) -> str:
    if request.backbone != "auto":
        return request.backbone
    size = (request.image_size or preprocess.usual_size(source, target)) if source.kind == "images" else 0
    return backbones.auto(source.kind, size)


def _from_run(origin: Run, given_target: Source, request: Request, like: Plan | None) -> Plan:
    """All that was decided for the Run holds, but for the target, the method and how it is trained."""
    method = AUTO_SOURCE_FREE if request.method in {AUTO, ENSEMBLE} else request.method
    check_source_free(origin, method, request)
    before, spec = origin.recipe, origin.recipe.source.model_copy(update={"max_bad": request.spec().max_bad})
    check_task(method, before.task)
    if not before.trains_a_network:
        raise BadInput(f"{origin.path}: its model is linear, and method {method} needs a network; give another Run")
    settings, options, training = of_method(method, request)
    _check_without_source(settings, training, method)
    strategy = before.finetune if request.finetune == "auto" else strategy_of(request, method, linear=False)
    same = strategy == before.finetune and not settings.finetune
    target, fitted = read_target(given_target, spec), origin.preprocess
    fitted.inputs(target, cache_bytes=0)
    scored = read_score(request.score, spec)
    check_labelled(scored, before, fitted)
    check_not_source(origin, (on := named(scored)))
    recipe = before.model_copy(
        update={
            "target": spec.model_copy(update={"path": target.name}),
            "method": method,
            **ONE_METHOD,
            "options": options,
            "train": training,
            "finetune": strategy,
            "finetune_options": _strategy_options(strategy, before.finetune_options if same else settings.finetune),
            "augment": augmentation_of(settings, request, shape_of(fitted), {"source": False, "target": True}),
            "seeds": seeds_of(origin, request.seeds),
            "origin": str(origin.path),
            "target_labels": None,
            "digests": {"target": digest(target)},
            "score": on,
            "plugins": plugins.origins(method, before.backbone),
        }
    )
    with backbones.without_weights():
        recipe = with_defaults(recipe, shape_of(fitted))
    audit = _audit_of_run(origin, request, spec)
    plan = Plan(None, origin, target, None, fitted, recipe, score_later(request.score, spec), audit)
    _check_scoring(plan, request)
    return replace(plan, notes=() if like else tuple(doubts.of_target(target)))


def _check_without_source(settings: Settings, training: Training, method: str) -> None:
    """Refuse settings that need what a Run in the place of the source does not hold, or has decided."""
    if settings.backbone:
        raise BadInput(f"backbone.{next(iter(settings.backbone))}: the Run has its backbone already; remove it")
    if training.patience:
        raise BadInput("train.patience: needs the source's validation split, and a Run holds none; remove it")
    if training.balance != "none":
        raise BadInput("train.balance: needs examples of the source, and a Run holds none; remove it")
    check_target_share(training, method, None)


def _audit_of_run(origin: Run, request: Request, spec: DomainSpec) -> Domain | None:
    """Labelled examples for an audit, where a Run is in the place of the source."""
    audited = read_audit(request.audit, spec, origin.preprocess.kind, origin.recipe.classes)
    check_labelled(audited, origin.recipe, origin.preprocess)
    check_not_source(origin, named(audited), flag="--audit")
    return audited


def _check_scoring(plan: Plan, request: Request) -> None:
    """Find a mistake in how the models are to be scored now, and not after the training."""
    if request.positive:
        require_classes(plan.recipe.task, "--positive")
    metrics.check_positive(request.positive, plan.recipe.classes)
    tta.check(request.tta, images=plan.shape.images)
    if request.tta and request.score is None:
        raise BadInput("--tta: needs a labelled target; give one with --score, or use --tta with predict")
