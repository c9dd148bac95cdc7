"""From what was asked for to all that is decided before training: domains, preprocessing, a recipe."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from acclimate import augmentation, backbones, data, finetune, fitting, methods
from acclimate.asked import (
    Asked,
    check_balance,
    check_name,
    check_share,
    check_source_free,
    check_task,
    check_views,
    seeds_of,
)
from acclimate.data import Domain, listed, preprocess
from acclimate.data.arrays import from_arrays
from acclimate.data.domain import Part
from acclimate.data.inputs import DenseInputs, Index, Inputs
from acclimate.data.labels import Truth, choose_task, scale_of, truth
from acclimate.data.loaders import split
from acclimate.data.preprocess import Preprocess
from acclimate.errors import BadInput, did_you_mean
from acclimate.evaluate import metrics, tta
from acclimate.evaluate.predictor import Run, shape_of
from acclimate.features import Read
from acclimate.methods import selfsup, shallow
from acclimate.recipe import (
    LINEAR,
    Augmentation,
    Options,
    Place,
    Pretraining,
    Recipe,
    Scale,
    Settings,
    TargetLabels,
    Task,
    Training,
    check_augmentation,
    check_options,
    check_training,
    parse_settings,
)
from acclimate.run import RunFolder
from acclimate.trial import resolved

log = logging.getLogger("acclimate")

AUTO_METHOD: Mapping[Task, str] = {"classification": "mcc", "regression": "deep_coral"}
"""What ``--method auto`` is until methods are compared without target labels.

Of those that can learn numbers DeepCORAL has no adversary, and at the paper's scale it stays near the baseline.
"""
WITH_LABELS = {"balance", "target_share", "batch_norm", "freeze_batch_norm", "validation", "validate_every", "patience"}
"""Settings of a training that say nothing where there are no labels and one set of images."""
BOTTLENECK = 256
"""Features that are left to move where the backbone is frozen, as in SHOT (arXiv:2002.08546)."""
AUTO_SOURCE_FREE = "shot"
"""What it is where the source is a finished Run."""


class Labelled(NamedTuple):
    """The source's rows of one seed: those to learn from and those kept for validation, with their labels."""

    inputs: Inputs
    labels: Truth
    validation: Inputs
    validation_labels: Truth


def no_examples() -> Labelled:
    """What stands in the place of a source that there is not, or that nothing is learnt from."""
    none, nothing = np.empty(0, dtype=np.int64), DenseInputs(np.empty((0, 0), dtype=np.float32))
    return Labelled(nothing, none, nothing, none)


@dataclass(frozen=True)
class Plan:
    """All that is decided before training.

    Attributes:
        source: Labelled domain; none where the source is a finished Run.
        origin: The finished Run whose source-only models are started from, in the place of a source.
        target: Domain to work on, without labels.
        target_labels: Labelled target to train on, given on purpose.
        fitted: The preprocessing, fitted on source and target.
        recipe: Everything else.
        score: Where a labelled target for scores is read from, when training is over.
        positive: Classes that are positive together, for the AUC.
        tta: Views that answers on the labelled target are averaged over, beside the plain ones.
    """

    source: Domain | None
    origin: Run | None
    target: Domain
    target_labels: Part | None
    fitted: Preprocess
    recipe: Recipe
    score: Callable[[], Domain] | None
    positive: tuple[str, ...] = ()
    tta: tuple[str, ...] = ()

    @property
    def shape(self) -> backbones.Shape:
        """What the backbone is given."""
        return shape_of(self.fitted)

    def labelled(self, seed: int, read: Read) -> Labelled:
        """The source as one seed sees it, as ``read`` gives it; empty where there is a Run in its place."""
        if self.source is None:
            return no_examples()
        labels = truth(self.source, self.recipe)
        rows, held = split(labels, self.recipe.train.validation, seed)
        return Labelled(read(self.source, rows), labels[rows], read(self.source, held), labels[held])

    def held(self, seed: int) -> Index:
        """Rows of the source that one seed keeps for validation; none if there is no source."""
        if self.source is None:
            return np.empty(0, dtype=np.int64)
        return split(truth(self.source, self.recipe), self.recipe.train.validation, seed)[1]

    def read(self, domain: Domain, rows: Index | None = None) -> Inputs:
        """A domain's rows, or some; what is in use at a time keeps no more decoded images than the recipe allows.

        In use are source, target and the labelled target to train on; later a validation split, target and the
        labelled target for scores, which is counted as large as the target.
        """
        some = domain if rows is None else domain.take(rows)
        given = self.recipe.target_labels
        in_use = len(self.source or ()) + 2 * len(self.target) + (given.n if given else 0)
        share = len(some) / max(in_use, len(some))
        return self.fitted.inputs(some, cache_bytes=int(self.recipe.train.cache_mb * 2**20 * share))

    def with_target_labels(self, rows: Index) -> "Plan":
        """The same, but that of its labelled target only ``rows`` are learnt from; with no rows, no label is."""
        if self.target_labels is None or not len(rows):
            return replace(self, target_labels=None, recipe=self.recipe.model_copy(update={"target_labels": None}))
        whole = self.target_labels.whole
        given = TargetLabels(path=whole.name, n=len(rows))
        recipe = self.recipe.model_copy(update={"target_labels": given})
        return replace(self, target_labels=Part(whole, rows), recipe=recipe)


def make_plan(source: Any, target: Any, asked: Asked) -> Plan:
    """Read the domains and decide.

    Args:
        source: Labelled domain, or a finished Run for methods that need no example of the source.
        target: Domain to work on.
        asked: All else.

    Raises:
        BadInput: Something in it cannot be, told before anything is written.
    """
    origin = _origin(source)
    plan = _from_source(source, target, asked) if origin is None else _from_run(origin, target, asked)
    _check_scoring(plan, asked)
    return replace(plan, positive=tuple(asked.positive), tta=tuple(asked.tta))


def _origin(source: Any) -> Run | None:
    """The finished Run that is given in the place of a source, if it is one."""
    is_path = isinstance(source, str | Path)
    if isinstance(source, RunFolder) or (is_path and Path(source, "recipe.yaml").is_file()):
        return Run.open(source.path if isinstance(source, RunFolder) else source)
    return None


class _Said(NamedTuple):
    """What the source and what is asked for decide, before the target is looked at."""

    method: str
    linear: bool
    rung: str
    parsed: Settings
    options: Options
    training: Training
    pretrain: Pretraining | None


def _from_source(source: Any, target: Any, asked: Asked) -> Plan:
    place = Place(path="", label=asked.label, text=asked.text, image=asked.image, drop=tuple(asked.drop))
    here = _domain(source, "source", place)
    task = choose_task(here, asked.task)
    said = _said(asked, here, task)
    here.require_source(task)
    there = _target(target, place)
    labelled = _target_labels(asked.target_labels, said.method, place, linear=said.linear)
    check_share(said.training, said.method, labelled)
    preprocess.check_kinds(here, there)
    name = LINEAR if said.linear else _backbone(asked, here, there)
    of_backbone = _of_backbone(name, asked, said)
    fitted = _fitted(name, of_backbone, asked, said, here, there)
    met = {"source": True, "target": not said.linear and _looks_at_the_target(said.method)}
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
        augment=Augmentation() if said.linear else _augmentation(said.parsed, asked, shape_of(fitted), met),
        image_size=asked.image_size,
        target_labels=None if labelled is None else TargetLabels(path=labelled.name, n=len(labelled)),
        seeds=tuple(range(asked.seeds)) if isinstance(asked.seeds, int) else tuple(asked.seeds),
        task=task,
        classes=here.classes if task == "classification" else (),
        scale=scale_of(here) if task == "regression" else Scale(),
    )
    _check_labelled(labelled, recipe, fitted)
    later = _later(asked.score, place, recipe, fitted)
    recipe = recipe if said.linear else resolved(recipe, shape_of(fitted))
    return Plan(here, None, there, None if labelled is None else Part(labelled), fitted, recipe, later)


def _said(asked: Asked, here: Domain, task: Task) -> _Said:
    method = AUTO_METHOD[task] if asked.method == "auto" else asked.method
    check_name(method)
    linear = _is_linear(method, asked.backbone)
    rung = _rung(asked, method, linear=linear)
    parsed, options, training = _decided_linear(method, asked) if linear else _decided(method, asked)
    pretrain = _pretraining(method, asked, parsed, training, linear=linear)
    check_task(method, task)
    check_balance(training, task)
    if pretrain and here.kind != "images":
        raise BadInput(f"--pretrain {pretrain.method}: learns from views of images alone; leave it out")
    check_views(method, here)
    return _Said(method, linear, rung, parsed, options, training, pretrain)


def _of_backbone(name: str, asked: Asked, said: _Said) -> Options:
    """The backbone's options."""
    usual = {} if said.linear else backbones.defaults(name)
    more = {**usual, **said.parsed.backbone, **({"weights": asked.weights} if asked.weights else {})}
    if finetune.freezes_all(said.rung) and _moves_features(said.method):
        more.setdefault("bottleneck", BOTTLENECK)
    return check_options(f"backbone {name}", more, fitting.options() if said.linear else backbones.options(name))


def _fitted(name: str, options: Options, asked: Asked, said: _Said, here: Domain, there: Domain) -> Preprocess:
    """The preprocessing, as the backbone wants it."""
    wants = backbones.Wants() if said.linear else backbones.wants(name, here.kind, options)
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


def _rung(asked: Asked, method: str, *, linear: bool) -> str:
    """The rung of the fine-tuning ladder; ``auto`` leaves nothing still, until others are tried."""
    if linear and asked.finetune != "auto":
        raise BadInput(f"--finetune: is of a network's weights, and {method} fits a linear model; leave it out")
    name = "full" if asked.finetune == "auto" else asked.finetune
    finetune.options(name)
    return name


def _moves_features(method: str) -> bool:
    """Whether a method changes features, and so does nothing where there is none that can be changed."""
    return method in methods.names() and "target" in methods.get(method).needs


def _backbone(asked: Asked, here: Domain, there: Domain) -> str:
    if asked.backbone != "auto":
        return asked.backbone
    size = (asked.image_size or preprocess.usual_size(here, there)) if here.kind == "images" else 0
    return backbones.auto(here.kind, size)


def _is_linear(method: str, backbone: str) -> bool:
    """Whether it is a shallow method before a linear model, or that model alone; and no network."""
    if method in shallow.names() and backbone not in {"auto", LINEAR}:
        raise BadInput(f"method {method} stands before a linear model, not {backbone}; leave --backbone out")
    if backbone == LINEAR and method not in {"source_only", *shallow.names()}:
        raise BadInput(f"method {method} trains a network, and backbone {LINEAR} is none; leave --backbone out")
    return method in shallow.names() or backbone == LINEAR


def _decided_linear(method: str, asked: Asked) -> tuple[Settings, Options, Training]:
    """The settings, the method's options among them; of how a network is trained only the validation split is left."""
    parsed = _settings(asked)
    options = check_options(f"method {method}", parsed.options, _options(method))
    told = {"--steps": asked.steps, "--precision": asked.precision, "--weights": asked.weights}
    told |= {f"train.{key}": True for key in parsed.train if key != "validation"}
    told |= {"--augment": asked.augment} | {f"augment.{key}": True for key in parsed.augment}
    for name, value in told.items():
        if value is not None:
            raise BadInput(f"{name}: says how a network is trained, and {method} fits a linear model; leave it out")
    return parsed, options, check_training(parsed.train)


def _options(method: str) -> dict[str, inspect.Parameter]:
    if method in shallow.names():
        return shallow.options(method)
    return {}  # those of source_only are for networks


def _from_run(origin: Run, target: Any, asked: Asked) -> Plan:
    """All that was decided for the Run holds, but for the target, the method and how it is trained."""
    method = AUTO_SOURCE_FREE if asked.method == "auto" else asked.method
    check_source_free(origin, method, asked)
    before = origin.recipe
    check_task(method, before.task)
    if not before.trains_a_network:
        raise BadInput(
            f"{origin.path}: its model is linear, and method {method} goes on with a network; give another Run"
        )
    parsed, options, training = _decided(method, asked)
    if parsed.backbone:
        raise BadInput(f"backbone.{next(iter(parsed.backbone))}: the Run has its backbone already; leave it out")
    if training.patience:
        raise BadInput("train.patience: stops by the source's validation split, and a Run holds none; leave it out")
    if training.balance != "none":
        raise BadInput("train.balance: is of the source's classes, and a Run holds no example; leave it out")
    check_share(training, method, None)
    rung = before.finetune if asked.finetune == "auto" else _rung(asked, method, linear=False)
    same = rung == before.finetune and not parsed.finetune
    moves = before.finetune_options if same else parsed.finetune
    there, fitted = _target(target, before.source), preprocess.load(origin.file("preprocess"))
    fitted.inputs(there, cache_bytes=0)
    recipe = before.model_copy(
        update={
            "target": before.source.model_copy(update={"path": there.name}),
            "method": method,
            "options": options,
            "train": training,
            "finetune": rung,
            "finetune_options": check_options(f"--finetune {rung}", moves, finetune.options(rung)),
            "augment": _augmentation(parsed, asked, shape_of(fitted), {"source": False, "target": True}),
            "seeds": seeds_of(origin, asked.seeds),
            "origin": str(origin.path),
        }
    )
    later = _later(asked.score, before.source, before, fitted)
    return Plan(None, origin, there, None, fitted, resolved(recipe, shape_of(fitted)), later)


def _decided(method: str, asked: Asked) -> tuple[Settings, Options, Training]:
    """The settings, the method's options among them, and how it is trained."""
    parsed = _settings(asked)
    options = check_options(f"method {method}", parsed.options, methods.options(method))
    given = {"steps": asked.steps, "precision": asked.precision}
    if len(methods.get(method).needs) == 1:  # there are no two domains whose statistics could be kept apart
        if parsed.train.get("batch_norm", "concat") != "concat":
            raise BadInput(f"train.batch_norm: method {method} learns from one domain alone; leave it out")
        parsed.train["batch_norm"] = "concat"
    training = check_training({**{k: v for k, v in given.items() if v is not None}, **parsed.train})
    return parsed, options, training


def _pretraining(
    method: str, asked: Asked, parsed: Settings, training: Training, *, linear: bool
) -> Pretraining | None:
    """What the backbone learns without labels first, if it is to; what is not said of that is as in the training."""
    if asked.pretrain is None:
        return None
    name, given = asked.pretrain, parsed.pretrain
    if name not in selfsup.names():
        raise BadInput(f"--pretrain: no self-supervised method {name!r}; {did_you_mean(name, selfsup.names())}")
    if linear:
        raise BadInput(f"--pretrain: is of a network, and {method} fits a linear model; leave it out")
    if methods.get(method).starts_from:
        raise BadInput(f"--pretrain: method {method} goes on from the source-only model instead; leave it out")
    own, on = selfsup.options(name), given.get("on", "target")
    known = {"on", *own, *Training.model_fields} - WITH_LABELS
    if strange := [k for k in given if k not in known]:
        raise BadInput(f"pretrain has no setting {strange[0]!r}; {did_you_mean(strange[0], known)}")
    if on not in (places := ("target", "source", "both")):
        raise BadInput(f"pretrain.on={on!r}: whose images to learn from; {did_you_mean(str(on), places)}")
    options = check_options(f"--pretrain {name}", {k: v for k, v in given.items() if k in own}, own)
    as_later = {k: getattr(training, k) for k in training.model_fields_set - WITH_LABELS}
    of_training = {k: v for k, v in given.items() if k not in {"on", *own}}
    train = check_training({**as_later, **of_training, "batch_norm": "concat", "freeze_batch_norm": False}, "pretrain")
    if train.batch_size < 2:
        raise BadInput("pretrain.batch_size=1: images are told apart by others in the batch; give 2 or more")
    return Pretraining(method=name, options=options, on=on, train=train)


def _settings(asked: Asked) -> Settings:
    parsed = parse_settings(asked.settings or {})
    if parsed.pretrain and asked.pretrain is None:
        raise BadInput(
            f"pretrain.{next(iter(parsed.pretrain))}: says how a backbone is pretrained; add --pretrain byol, "
            "or leave it out"
        )
    return parsed


def _augmentation(parsed: Settings, asked: Asked, shape: backbones.Shape, met: Mapping[str, bool]) -> Augmentation:
    """What is done to each domain: what ``--augment`` says to those that are ``met``, unless it is set for one."""
    for domain in parsed.augment.keys() & met.keys():
        if not met[domain]:
            raise BadInput(f"augment.{domain}: nothing is learnt here from examples of the {domain}; leave it out")
    both = {} if asked.augment is None else {domain: asked.augment for domain in met if met[domain]}
    augment = check_augmentation({**both, **parsed.augment})
    augmentation.check(augment, images=shape.images, sparse=shape.sparse or shape.kind != "vectors")
    return augment


def _looks_at_the_target(method: str) -> bool:
    return bool(methods.get(method).needs & {"target", "target_labels"})


def _target(given: Any, place: Place) -> Domain:
    there = _domain(given, "target", place)
    if there.labels is not None:
        log.info("%s: its labels are set aside; training does not see them", there.name)
    return there.without_labels()


def _later(given: Any, place: Place, recipe: Recipe, fitted: Preprocess) -> Callable[[], Domain] | None:
    """Where labels for scores are read from when training is over; looked at for mistakes now, and forgotten."""
    if given is None:
        return None
    _check_labelled(_domain(given, "score", place), recipe, fitted)
    return lambda: _domain(given, "score", place)


def _check_scoring(plan: Plan, asked: Asked) -> None:
    """Find a mistake in how the models are to be scored now, and not after the training."""
    if asked.positive and plan.recipe.task == "regression":
        raise BadInput("--positive: is for classes, and this is a regression; leave it out")
    metrics.check_positive(asked.positive, plan.recipe.classes)
    tta.check(asked.tta, images=plan.shape.images)
    if asked.tta and asked.score is None:
        raise BadInput("--tta: is for scores on a labelled target; give one with --score, or use it in predict")


def _domain(given: Any, name: str, place: Place) -> Domain:
    if isinstance(given, Domain):
        return given
    if isinstance(given, str | Path):
        must = name != "target"
        there = data.load(
            given, label=place.label, text=place.text, image=place.image, drop=place.drop, must_have_label=must
        )
        listed.require_files(there)
        return there
    x, y = given if isinstance(given, tuple) else (given, None)
    return from_arrays(x, y, name=name)


def _target_labels(given: Any, method: str, place: Place, *, linear: bool) -> Domain | None:
    needed = not linear and "target_labels" in methods.get(method).needs
    if needed and given is None:
        raise BadInput(f"method {method} trains on labels of the target; give them with --target-labels")
    if given is None:
        return None
    if linear:
        raise BadInput(f"--target-labels: {method} fits a linear model to the source's labels alone; leave it out")
    if not (needed or "source" in methods.get(method).needs):
        raise BadInput(
            f"method {method} learns from no label, and so from none of the target; leave --target-labels out"
        )
    return _domain(given, "target labels", place)


def _check_labelled(domain: Domain | None, recipe: Recipe, fitted: Preprocess) -> None:
    """Find a mistake in a labelled target now, and not after the training."""
    if domain is not None:
        truth(domain, recipe)
        fitted.inputs(domain)
