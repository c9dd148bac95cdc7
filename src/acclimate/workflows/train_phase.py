"""Trainings of a plan: of the baseline, of a backbone without labels, or of the method."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from acclimate import finetune, methods
from acclimate.data.domain import Kind
from acclimate.data.inputs import JoinedInputs
from acclimate.data.labels import truth
from acclimate.finetune import FROZEN, Layer
from acclimate.methods import selfsup
from acclimate.methods.base import Method
from acclimate.methods.student import Student
from acclimate.nn import Classifier, Ensemble
from acclimate.recipe import STUDENT, TEACHER, Options, Pretraining, Recipe
from acclimate.run_folder import RunFolder
from acclimate.training import linear
from acclimate.training.batched import has_plain_steps
from acclimate.training.examples import NO_LABELS, NO_ROWS
from acclimate.training.features import allows_stand_in, frozen, stand_in
from acclimate.training.job import Job, expected_seconds
from acclimate.training.jobs import run_jobs
from acclimate.training.train import Spec, TrainingData, with_target_labels
from acclimate.workflows.plan import Plan

UNITS: Mapping[Kind, str] = {"images": "images", "text": "texts", "image and text": "examples"}
"""What progress counts, by kind of domain; ``rows`` of the others."""


@dataclass(frozen=True)
class Machine:
    """Where trainings run: how many processes or GPUs, and whether progress shows."""

    devices: int = 1
    show: bool = False


class Phase(NamedTuple):
    """A training of a plan.

    Attributes:
        run: Whose folder takes the weights; it has those of the phases that this one continues from.
        plan: What was decided.
        seed: One of the recipe's.
        phase: One of the recipe's ``trainings``.
        title: What progress calls it.
        number: Its place among all trainings, from 1; none if it has no place.
        of: How many there are.
    """

    run: RunFolder
    plan: Plan
    seed: int
    phase: str
    title: str = "training"
    number: int | None = None
    of: int = 0


def train_phases(phases: Iterable[Phase], machine: Machine) -> None:
    """Train models of plans, together where they can be, and leave their weights in their Runs."""
    of_networks = []
    for phase in phases:
        if phase.plan.recipe.trains_a_network:
            of_networks.append(phase)
        else:
            _fit_linear(phase.run, phase.plan, phase.seed, phase.phase)
    run_jobs(_job(phase, machine) for phase in of_networks)


def train_phase(
    run: RunFolder, plan: Plan, seed: int, phase: str, machine: Machine, *, title: str = "training"
) -> None:
    """Train one model of a plan and leave its weights in the Run."""
    train_phases([Phase(run, plan, seed, phase, title)], machine)


def may_stack(plan: Plan, machine: Machine) -> bool:
    """Whether trainings of a plan may take their steps together, as far as can be told without a model."""
    recipe, examples = plan.recipe, plan.target.examples
    if not recipe.trains_a_network or machine.devices > 1:
        return False
    rows = plan.target.kind == "table" or isinstance(examples, np.ndarray) or frozen(recipe)
    plain = has_plain_steps(recipe.train) and not recipe.augment.any
    return rows and plain and method_class(recipe.method).batched


def train_all(run: RunFolder, plan: Plan, machine: Machine) -> None:
    """Train all models of a plan that are not there yet, phase by phase, with all seeds of a phase side by side."""
    recipe = plan.recipe
    order = [(seed, phase) for phase in recipe.trainings for seed in recipe.seeds]
    numbers = {own: number for number, own in enumerate(order, 1)}
    for phase in recipe.trainings:
        missing = [seed for seed in recipe.seeds if not run.weights(seed, phase).exists()]
        own = [Phase(run, plan, seed, phase, number=numbers[seed, phase], of=len(order)) for seed in missing]
        train_phases(own, machine)


def _job(wanted: Phase, machine: Machine) -> Job:
    run, plan, seed, phase, *_ = wanted
    if phase == "pretrained" and plan.recipe.pretrain:
        job = Job(run, phase, _pretraining(plan, plan.recipe.pretrain, seed), machine.devices, machine.show)
    else:
        job = _training(run, plan, seed, phase, machine)
    unit = UNITS.get(plan.target.kind, "rows")
    return replace(job, title=wanted.title, number=wanted.number, of=wanted.of, unit=unit)


def expected_baseline_seconds(run: RunFolder, plan: Plan, seed: int) -> float:
    """How long a seed's source-only training takes, from a few steps that are timed and then dropped."""
    return expected_seconds(_training(run, plan, seed, "source_only", Machine()))


def _method_of(recipe: Recipe, phase: str) -> tuple[str, Options]:
    """The method of a phase, and its options: the baseline's are what the method wants to start from."""
    if phase == "adapted" or recipe.method == "source_only":
        return recipe.method, recipe.options
    return "source_only", dict(method_class(recipe.method).start_options) if recipe.trains_a_network else {}


def method_class(method: str) -> type[Method]:
    """The class of a method that a recipe names: a registered one, or the student."""
    return Student if method == STUDENT else methods.get(method)


def _method(kind: type[Method], model: Classifier, options: Options, teacher: Callable[[], nn.Module]) -> Method:
    return kind(model, teacher=teacher()) if issubclass(kind, Student) else kind(model, **options)


def _teacher(run: RunFolder, plan: Plan, seed: int) -> Ensemble:
    """The models whose mean prediction a student learns."""
    teacher = finetune.model(plan.recipe, TEACHER, plan.shape)
    assert isinstance(teacher, Ensemble)
    teacher.load_state_dict(load_file(run.weights(seed, TEACHER)))
    return teacher


def _above(teacher: nn.Module, plan: Plan) -> Ensemble:
    """The upper layers of a teacher, on whose inputs its student trains, too."""
    assert isinstance(teacher, Ensemble)
    found = [stand_in(plan.recipe, one, plan.read, plan.domains) for one in teacher.classifiers]
    return Ensemble([one.model for one in found if one])


def _fit_linear(run: RunFolder, plan: Plan, seed: int, phase: str) -> None:
    name, options = _method_of(plan.recipe, phase)
    source = plan.labelled(seed, plan.read)
    fitted = linear.fit(
        source.inputs, source.labels, plan.read(plan.target),
        method=name, options=options, estimator=plan.recipe.backbone_options, task=plan.recipe.task,
    )  # fmt: skip
    run.write(f"models/{run.fitted(seed, phase).name}", partial(linear.save, fitted))


def _training(run: RunFolder, plan: Plan, seed: int, phase: str, machine: Machine) -> Job:
    """The training of one seed's baseline, or of the method."""
    recipe, (name, options) = plan.recipe, _method_of(plan.recipe, phase)
    torch.manual_seed(seed)
    learnt = load_file(run.weights(seed, "pretrained")) if phase == "adapted" and recipe.pretrain else None
    kind = method_class(name)
    model = finetune.classifier(recipe, phase, plan.shape, pretrained=not kind.starts_from, learnt=learnt)
    if kind.starts_from:
        model.load_state_dict(load_file(run.weights(seed, kind.starts_from)))
    layers = finetune.layers(model, recipe.finetune, recipe.finetune_options)
    method, read, below = _method(kind, model, options, partial(_teacher, run, plan, seed)), plan.read, {}
    if allows_stand_in(recipe, method) and (found := stand_in(recipe, model, plan.read, plan.domains)):
        method.model, read = found
        if isinstance(method, Student):
            method.teacher = _above(method.teacher, plan)
        layers = _layers_of(method.model, layers)
        below = {k: v for k, v in model.state_dict().items() if k not in method.model.state_dict()}
    rows = plan.labelled(seed, read)
    data = TrainingData(rows.inputs, rows.labels, read(plan.target), rows.validation, rows.validation_labels)
    if phase == "adapted" and plan.target_labels is not None:
        inputs, labels = read(*plan.target_labels), truth(plan.target_labels.domain, recipe)
        if "source" in method.needs:
            data = with_target_labels(data, inputs, labels)
        else:
            data = replace(data, source=inputs, labels=labels)
    spec = Spec(method, data, recipe.train, seed, layers, recipe.finetune, recipe.augment)
    return Job(run, phase, spec, machine.devices, machine.show, below)


def _layers_of(above: Classifier, layers: Sequence[Layer]) -> list[Layer]:
    """Those layers of a model that its upper part has; one that is frozen, if it has none of them."""
    names = {name for name, _ in above.backbone.named_parameters()}
    return [layer for layer in layers if names.issuperset(layer.names)] or [Layer((), FROZEN)]


def _pretraining(plan: Plan, pretrain: Pretraining, seed: int) -> Spec:
    """The training of one seed's backbone without labels, from the weights the baseline starts from."""
    source, target = plan.labelled(seed, plan.read), plan.read(plan.target)
    rows = {"target": target, "source": source.inputs, "both": JoinedInputs(source.inputs, target)}[pretrain.on]
    torch.manual_seed(seed)
    model = finetune.classifier(plan.recipe, "pretrained", plan.shape)
    method = selfsup.get(pretrain.method)(model, **pretrain.options)
    return Spec(method, TrainingData(NO_ROWS, NO_LABELS, rows), pretrain.train, seed)
