"""One training of a plan: of the baseline, of a backbone without labels, or of the method."""

import numpy as np
import torch
from safetensors.torch import load_file

from acclimate import finetune, methods
from acclimate.data.inputs import JoinedInputs, joined
from acclimate.data.labels import truth
from acclimate.finetune import FROZEN, Layer
from acclimate.methods import selfsup
from acclimate.recipe import Options, Pretraining, Recipe
from acclimate.run_folder import RunFolder
from acclimate.training.features import Features, stand_for
from acclimate.training.fit import Job, train
from acclimate.training.linear import fit as fit_linear
from acclimate.workflows.plan import Plan, no_examples


def train_phase(run: RunFolder, plan: Plan, seed: int, phase: str, *, devices: int = 1, show: bool = False) -> None:
    """Train one model of a plan and leave its weights in the Run.

    Args:
        run: Whose folder takes them; it has those of the phases that this one goes on from.
        plan: What was decided.
        seed: One of the recipe's.
        phase: One of the recipe's ``trainings``.
        devices: Processes, or GPUs.
        show: Draw progress bars on stderr.
    """
    if not plan.recipe.trains_a_network:
        _fit(run, plan, seed, phase)
    elif phase == "pretrained" and plan.recipe.pretrain:
        train(_pretraining(run, plan, plan.recipe.pretrain, seed, devices, show))
    else:
        train(_training(run, plan, seed, phase, devices, show))


def _what(recipe: Recipe, phase: str) -> tuple[str, Options]:
    """The method of a phase, and its options: the baseline's are what the method wants to start from."""
    if phase == "adapted" or recipe.method == "source_only":
        return recipe.method, recipe.options
    return "source_only", dict(methods.get(recipe.method).start_options) if recipe.trains_a_network else {}


def _fit(run: RunFolder, plan: Plan, seed: int, phase: str) -> None:
    name, options = _what(plan.recipe, phase)
    source = plan.labelled(seed, plan.read)
    fit_linear(
        run, seed, phase, source.inputs, source.labels, plan.read(plan.target),
        method=name, options=options, estimator=plan.recipe.backbone_options, task=plan.recipe.task,
    )  # fmt: skip


def _training(run: RunFolder, plan: Plan, seed: int, phase: str, devices: int, show: bool) -> Job:
    """The training of one seed's baseline, or of the method."""
    recipe, (name, options) = plan.recipe, _what(plan.recipe, phase)
    torch.manual_seed(seed)
    learnt = load_file(run.weights(seed, "pretrained")) if phase == "adapted" and recipe.pretrain else None
    kind, model = methods.get(name), finetune.classifier(recipe, phase, plan.shape, learnt=learnt)
    if kind.starts_from:
        model.load_state_dict(load_file(run.weights(seed, kind.starts_from)))
    layers = finetune.layers(model, recipe.finetune, recipe.finetune_options)
    method, read, below = kind(model, **options), plan.read, {}
    if stand_for(recipe, method):
        read, method.model = Features(model, plan.read), model.on_features()
        layers, above = [Layer((), FROZEN)], method.model.state_dict()
        below = {k: v for k, v in model.state_dict().items() if k not in above}
    source = plan.labelled(seed, read)
    here, known, from_target = source.inputs, source.labels, 0
    if phase == "adapted" and plan.target_labels is not None:
        theirs, said = read(*plan.target_labels), truth(plan.target_labels.domain, recipe)
        if "source" in method.needs:
            here, known, from_target = joined(here, theirs), np.concatenate([known, said]), len(said)
        else:
            here, known = theirs, said
    return Job(
        run, phase, seed, method, recipe.train, here, known, read(plan.target),
        source.validation, source.validation_labels, devices, show, layers, recipe.finetune, below,
        recipe.augment, from_target,
    )  # fmt: skip


def _pretraining(run: RunFolder, plan: Plan, asked: Pretraining, seed: int, devices: int, show: bool) -> Job:
    """The training of one seed's backbone without labels, from the weights the baseline starts from."""
    source, target = plan.labelled(seed, plan.read), plan.read(plan.target)
    rows = {"target": target, "source": source.inputs, "both": JoinedInputs(source.inputs, target)}[asked.on]
    torch.manual_seed(seed)
    model = finetune.classifier(plan.recipe, "pretrained", plan.shape)
    method = selfsup.get(asked.method)(model, **asked.options)
    none = no_examples()
    return Job(
        run, "pretrained", seed, method, asked.train, none.inputs, none.labels, rows,
        none.validation, none.validation_labels, devices, show,
    )  # fmt: skip
