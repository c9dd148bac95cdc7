"""Training in memory: a method, examples and settings in, a fitted model out. No folder, no printing."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from acclimate import finetune, methods
from acclimate.errors import BadInput
from acclimate.methods.base import Method
from acclimate.nn import Classifier
from acclimate.recipe import Options, Training, check_options, check_training, parse_settings
from acclimate.training.batched import Trained, train_many
from acclimate.training.checkpoint import Checkpoint
from acclimate.training.engine import Diverged, Step
from acclimate.training.examples import (
    Array,
    Examples,
    LabelCoder,
    Labelled,
    Unlabelled,
    batches_of,
    build_method,
    inputs_of,
    label_coder,
    labelled,
)
from acclimate.training.inference import Predictions, predict
from acclimate.training.launch import accelerator
from acclimate.training.train import Spec, TrainingData, train, with_target_labels


class History:
    """Keeps every step in memory."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def start(self, done: int) -> None:
        """Nothing to do."""

    def step(self, step: Step, validation: Mapping[str, float]) -> None:
        """Note it."""
        self.steps.append(Step(step.done, {**step.losses, **validation}))

    def flush(self) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class Fitted:
    """A trained model in memory.

    Attributes:
        method: The method with all that it learnt; its ``model`` is the trained one.
        history: Every step's losses.
        coder: From positions to the labels that were given, and back.
        snapshots: The model as it was on the way, by steps done.
    """

    method: Method
    history: Sequence[Step]
    coder: LabelCoder
    snapshots: Mapping[int, Classifier] = field(default_factory=dict)

    @property
    def model(self) -> Classifier:
        """The trained classifier, in evaluation mode."""
        return self.method.model

    def outputs(self, x: Unlabelled, *, domain: str = "target") -> Predictions:
        """Logits ``(n, k)`` and features ``(n, d)`` of examples of a domain."""
        return predict(self.model, inputs_of(x), domain)

    def predict(self, x: Unlabelled, *, domain: str = "target") -> Array:
        """The class of each example as the labels spelt it ``(n,)``, or the number predicted for it."""
        return self.coder.decode(self.outputs(x, domain=domain).logits)

    def predict_proba(self, x: Unlabelled, *, domain: str = "target") -> NDArray[np.float64]:
        """The probability of each class ``(n, k)``, in the order of the coder's ``classes``."""
        return self.outputs(x, domain=domain).probabilities


def fit(
    method: Method | type[Method] | str,
    source: Labelled,
    target: Unlabelled,
    *,
    model: nn.Module | None = None,
    training: Training | None = None,
    validation: Labelled = None,
    target_labels: Labelled = None,
    strategy: str = "full",
    seed: int = 0,
    checkpoint: str | Path | None = None,
) -> Fitted:
    """Train a model in memory.

    What is given is not changed: the training works on a copy.

    Args:
        method: A method object with its model, a class such as `acclimate.methods.DANN`, or a method's name.
        source: Labelled examples: a pair ``(x, y)`` of tensors or arrays, a torch ``Dataset`` of pairs, or a
            ``DataLoader`` over one. A method that never sees the source leaves it unread.
        target: Unlabelled examples: a tensor, an array, a ``Dataset`` or a ``DataLoader``; labels in it are ignored.
        model: For a class or a name: a `Classifier`, or any module from inputs to features ``(n, d)``, before which
            a linear head is put. By default a small net that suits vectors or images.
        training: Steps, batch size, rates; what is none is chosen by the backbone.
        validation: Labelled examples of the source for a validation loss and early stopping; none by default.
        target_labels: Labelled examples of the target to learn from beside the source.
        strategy: Which weights move, when and how fast: a fine-tuning strategy's name.
        seed: Decides initial weights, the order of batches and all random numbers.
        checkpoint: A file to continue from, written every ``training.save_every`` steps and removed at the end.

    Returns:
        The fitted model, with its history.

    Raises:
        BadInput: The examples do not fit each other, the method or the model.
        Diverged: A loss is not finite.

    Example:
        >>> x, y = np.eye(4, dtype=np.float32).repeat(8, 0), np.arange(4).repeat(8)
        >>> fitted = fit("dann", (x, y), x + 0.1, training=Training(steps=60, lr=0.01))
        >>> fitted.predict(x[:1]).tolist()
        [0]
    """
    torch.manual_seed(seed)
    examples = labelled(source, "source")
    coder = _coder(method, model, examples)
    built, training = build_method(method, examples.inputs, coder, model=model, training=training)
    data = _data(examples, target, coder, validation, target_labels)
    layers = finetune.layers(built.model, strategy, {})
    spec = Spec(built, data, training, seed, layers, strategy)
    history, kept = History(), None if checkpoint is None else Checkpoint(Path(checkpoint))
    trained = train(_fabric(training), spec, checkpoint=kept, watchers=[history])
    if kept:
        kept.remove()
    return Fitted(trained, history.steps, coder)


def fit_many(
    method: type[Method] | str,
    source: Labelled,
    target: Unlabelled,
    *,
    seeds: Sequence[int] = (0,),
    settings: Sequence[Mapping[str, object]] = ({},),
    model: nn.Module | None = None,
    training: Training | None = None,
    validation: Labelled = None,
    target_labels: Labelled = None,
    strategy: str = "full",
    snapshots: Collection[int] = (),
) -> list[Fitted]:
    """Train a model in memory for each of several settings and seeds.

    Each comes to the weights that `fit` gives it, up to rounding. On vectors, those of one method go through the same
    operations together, which takes a fraction of the time; where that cannot be done, they are trained one by one.

    Args:
        method: A class such as `acclimate.methods.DANN`, or a method's name.
        source: As for `fit`, like ``target``.
        target: Unlabelled examples.
        seeds: Every one of them is trained with every setting.
        settings: Options of the method, e.g. ``{"weight": 0.5}``, and of the training, e.g. ``{"train.lr": 0.01}``.
        model: As for `fit`, like the arguments that follow.
        training: What the settings leave open.
        validation: Labelled examples of the source.
        target_labels: Labelled examples of the target to learn from.
        strategy: A fine-tuning strategy's name.
        snapshots: Numbers of steps after which each model is copied, too.

    Returns:
        The fitted models: of the first setting that of every seed, then those of the next.

    Raises:
        BadInput: The examples do not fit each other, the method or the model, or a setting is unknown.
        Diverged: A loss is not finite.

    Example:
        >>> x, y = np.eye(4, dtype=np.float32).repeat(8, 0), np.arange(4).repeat(8)
        >>> few = Training(steps=60, lr=0.01)
        >>> fitted = fit_many("mcc", (x, y), x + 0.1, seeds=[0, 1], settings=[{}, {"weight": 0.1}], training=few)
        >>> [one.predict(x[8:9]).item() for one in fitted]
        [1, 1, 1, 1]
    """
    examples = labelled(source, "source")
    coder = _coder(method, model, examples)
    data = _data(examples, target, coder, validation, target_labels)
    specs: list[Spec] = []
    names: list[str] = []
    for own in settings:
        options, changed = _settled(method, own, training or Training())
        for seed in seeds:
            torch.manual_seed(seed)
            built, filled = build_method(method, examples.inputs, coder, model=model, training=changed, options=options)
            layers = finetune.layers(built.model, strategy, {})
            specs.append(Spec(built, data, filled, seed, layers, strategy))
            names.append(f"seed {seed}, settings {dict(own)}")
    histories = [History() for _ in specs]
    fabric, watchers = _fabric(training or Training()), [[history] for history in histories]
    outcomes = train_many(fabric, specs, watchers=watchers, snapshots=snapshots)
    named = zip(outcomes, histories, names, strict=True)
    return [_fitted(outcome, history, coder, which) for outcome, history, which in named]


def _settled(
    method: type[Method] | str, settings: Mapping[str, object], training: Training
) -> tuple[Options, Training]:
    """The method's options among settings, and the training with those that are its own."""
    own, kind = parse_settings(settings), methods.get(method) if isinstance(method, str) else method
    if others := [name for name in ("backbone", "pretrain", "finetune", "augment") if getattr(own, name)]:
        raise BadInput(f"settings: {others[0]}.… cannot differ between trainings; give the method's options or train.…")
    known = {k: p for k, p in inspect.signature(kind, eval_str=True).parameters.items() if p.kind is p.KEYWORD_ONLY}
    options = check_options(f"method {kind.__name__}", own.options, known)
    return options, check_training({**training.model_dump(exclude_unset=True), **own.train})


def _fitted(outcome: Trained | Diverged, history: History, coder: LabelCoder, which: str) -> Fitted:
    if isinstance(outcome, Diverged):
        raise Diverged(f"{which}: {outcome.message}")
    snapshots = {step: method.model for step, method in outcome.snapshots.items()}
    return Fitted(outcome.method, history.steps, coder, snapshots)


def _coder(method: Method | type[Method] | str, model: nn.Module | None, examples: Examples) -> LabelCoder:
    """The coder of the source's labels; without a source that of a model that is trained already."""
    classifier = method.model if isinstance(method, Method) else model
    outputs = classifier.n_classes if isinstance(classifier, Classifier) else None
    if not len(examples.labels) and outputs is None:
        raise BadInput("source: has no labelled examples; give some, or a Classifier that is trained already")
    return label_coder(examples.labels, outputs)


def _data(
    examples: Examples, target: Unlabelled, coder: LabelCoder, validation: Labelled, target_labels: Labelled
) -> TrainingData:
    own = {"source": batches_of(examples.loader, coder.encode), "target": batches_of(target)}
    batches = {name: batch for name, batch in own.items() if batch is not None}
    data = TrainingData(examples.inputs, coder.encode(examples.labels), inputs_of(target), batches=batches)
    if validation is not None:
        held = labelled(validation, "validation")
        data = replace(data, validation=held.inputs, validation_labels=coder.encode(held.labels))
    if target_labels is not None:
        known = labelled(target_labels, "target_labels")
        data = with_target_labels(data, known.inputs, coder.encode(known.labels))
    return data


def _fabric(training: Training) -> Fabric:
    return Fabric(accelerator=accelerator(), devices=1, precision=training.precision)
