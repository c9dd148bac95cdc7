"""From what was asked for to all that is decided before training: domains, preprocessing, a recipe."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from acclimate import backbones, finetune, methods, metrics
from acclimate.augment import tta
from acclimate.data import Domain, preprocess
from acclimate.data.domain import Part
from acclimate.data.labels import choose_task, scale_of
from acclimate.data.preprocess import Preprocess
from acclimate.errors import BadInput
from acclimate.recipe import LINEAR, Augmentation, DomainSpec, LabelScale, Options, Recipe, TargetLabels, check_options
from acclimate.runs.models import shape_of
from acclimate.runs.run import Run
from acclimate.training import linear as fitting
from acclimate.workflows.plan import domains as given
from acclimate.workflows.plan.base import Plan
from acclimate.workflows.plan.request import Request, check_share, check_source_free, check_task, check_unseen, seeds_of
from acclimate.workflows.plan.resolve import (
    AUTO_METHOD,
    AUTO_SOURCE_FREE,
    Resolved,
    augmentation_of,
    backbone_options,
    bottleneck_for,
    looks_at_the_target,
    of_method,
    resolve,
    rung_of,
)
from acclimate.workflows.plan.trial_build import check_moves, resolved

__all__ = ["AUTO_METHOD", "Plan", "make_plan", "with_strategy"]


def make_plan(source: Any, target: Any, asked: Request) -> Plan:
    """Read the domains and decide.

    Args:
        source: Labelled domain, or a finished Run for methods that need no example of the source.
        target: Domain to work on.
        asked: All else.

    Raises:
        BadInput: Something in it cannot be, told before anything is written.
    """
    origin = given.origin(source)
    plan = _from_source(source, target, asked) if origin is None else _from_run(origin, target, asked)
    _check_scoring(plan, asked)
    return replace(plan, positive=tuple(asked.positive), tta=tuple(asked.tta))


def with_strategy(plan: Plan, name: str, tried: Mapping[str, float] | None = None) -> Plan:
    """The same plan with another fine-tuning strategy: data and preprocessing stay as they are.

    Args:
        plan: With all weights moving.
        name: The strategy.
        tried: The source's validation loss of strategies that were tried.

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


def _from_source(source: Any, target: Any, asked: Request) -> Plan:
    check_unseen(asked.score, source, "the source itself")
    check_unseen(asked.score, asked.target_labels, "the labelled target itself")
    place = DomainSpec(path="", label=asked.label, text=asked.text, image=asked.image, drop=tuple(asked.drop))
    here = given.domain(source, "source", place)
    task = choose_task(here, asked.task)
    said = resolve(asked, here, task)
    here.require_source(task)
    there = given.target(target, place)
    labelled = given.target_labels(asked.target_labels, said.method, place, linear=said.linear)
    check_share(said.training, said.method, labelled)
    preprocess.check_kinds(here, there)
    name = LINEAR if said.linear else _backbone(asked, here, there)
    of_backbone = backbone_options(name, asked, said)
    fitted = _fitted(name, of_backbone, asked, said, here, there)
    met = {"source": True, "target": not said.linear and looks_at_the_target(said.method)}
    recipe = Recipe(
        source=place.model_copy(update={"path": here.name}),
        target=place.model_copy(update={"path": there.name}),
        method=said.method,
        options=said.options,
        backbone=name,
        backbone_options=of_backbone,
        train=said.training,
        pretrain=said.pretrain,
        finetune=said.rung,
        finetune_options=check_options(f"--finetune {said.rung}", said.parsed.finetune, finetune.options(said.rung)),
        augment=Augmentation() if said.linear else augmentation_of(said.parsed, asked, shape_of(fitted), met),
        image_size=asked.image_size,
        target_labels=None if labelled is None else TargetLabels(path=labelled.name, n=len(labelled)),
        seeds=tuple(range(asked.seeds)) if isinstance(asked.seeds, int) else tuple(asked.seeds),
        task=task,
        classes=here.classes if task == "classification" else (),
        scale=scale_of(here) if task == "regression" else LabelScale(),
    )
    given.check_labelled(labelled, recipe, fitted)
    later = given.later(asked.score, place, recipe, fitted)
    recipe = recipe if said.linear else resolved(recipe, shape_of(fitted))
    return Plan(here, None, there, None if labelled is None else Part(labelled), fitted, recipe, later)


def _fitted(name: str, options: Options, asked: Request, said: Resolved, here: Domain, there: Domain) -> Preprocess:
    """The preprocessing, as the backbone wants it."""
    wants = backbones.InputSpec() if said.linear else backbones.input_spec(name, here.kind, options)
    if wants.encoder and methods.get(said.method).moves_inputs:
        raise BadInput(
            f"method {said.method} moves its inputs a little, and tokens cannot be moved; leave --backbone out"
        )
    fitted = preprocess.fit(
        here, there, size=asked.image_size or wants.size, interpolation=wants.interpolation, encoder=wants.encoder,
        length=wants.length,
    )  # fmt: skip
    if said.linear:
        fitting.check(said.method, shape_of(fitted))
    return fitted


def _backbone(asked: Request, here: Domain, there: Domain) -> str:
    if asked.backbone != "auto":
        return asked.backbone
    size = (asked.image_size or preprocess.usual_size(here, there)) if here.kind == "images" else 0
    return backbones.auto(here.kind, size)


def _from_run(origin: Run, target: Any, asked: Request) -> Plan:
    """All that was decided for the Run holds, but for the target, the method and how it is trained."""
    method = AUTO_SOURCE_FREE if asked.method == "auto" else asked.method
    check_source_free(origin, method, asked)
    before = origin.recipe
    check_task(method, before.task)
    if not before.trains_a_network:
        raise BadInput(
            f"{origin.path}: its model is linear, and method {method} goes on with a network; give another Run"
        )
    parsed, options, training = of_method(method, asked)
    if parsed.backbone:
        raise BadInput(f"backbone.{next(iter(parsed.backbone))}: the Run has its backbone already; leave it out")
    if training.patience:
        raise BadInput("train.patience: stops by the source's validation split, and a Run holds none; leave it out")
    if training.balance != "none":
        raise BadInput("train.balance: is of the source's classes, and a Run holds no example; leave it out")
    check_share(training, method, None)
    rung = before.finetune if asked.finetune == "auto" else rung_of(asked, method, linear=False)
    same = rung == before.finetune and not parsed.finetune
    moves = before.finetune_options if same else parsed.finetune
    there, fitted = given.target(target, before.source), preprocess.load(origin.file("preprocess"))
    fitted.inputs(there, cache_bytes=0)
    recipe = before.model_copy(
        update={
            "target": before.source.model_copy(update={"path": there.name}),
            "method": method,
            "options": options,
            "train": training,
            "finetune": rung,
            "finetune_options": check_options(f"--finetune {rung}", moves, finetune.options(rung)),
            "augment": augmentation_of(parsed, asked, shape_of(fitted), {"source": False, "target": True}),
            "seeds": seeds_of(origin, asked.seeds),
            "origin": str(origin.path),
        }
    )
    later = given.later(asked.score, before.source, before, fitted)
    return Plan(None, origin, there, None, fitted, resolved(recipe, shape_of(fitted)), later)


def _check_scoring(plan: Plan, asked: Request) -> None:
    """Find a mistake in how the models are to be scored now, and not after the training."""
    if asked.positive and plan.recipe.task == "regression":
        raise BadInput("--positive: is for classes, and this is a regression; leave it out")
    metrics.check_positive(asked.positive, plan.recipe.classes)
    tta.check(asked.tta, images=plan.shape.images)
    if asked.tta and asked.score is None:
        raise BadInput("--tta: is for scores on a labelled target; give one with --score, or use it in predict")
