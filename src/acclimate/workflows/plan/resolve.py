"""From a request to method, options, strategy and training, before the target is looked at."""

import inspect
from collections.abc import Mapping
from typing import NamedTuple

from acclimate import backbones, finetune, methods
from acclimate.augment import augmentation
from acclimate.data import Domain
from acclimate.errors import BadInput, did_you_mean
from acclimate.methods import selfsup, shallow
from acclimate.recipe import (
    AUTO,
    ENSEMBLE,
    LINEAR,
    Augmentation,
    Options,
    Pretraining,
    Settings,
    Task,
    Training,
    check_augmentation,
    check_options,
    check_training,
    parse_settings,
)
from acclimate.training import linear as linear_training
from acclimate.workflows.early import check_method, check_pretraining
from acclimate.workflows.options import Request
from acclimate.workflows.plan.checks import check_balance, check_task, check_views

AUTO_METHOD: Mapping[Task, str] = {"classification": "mcc", "regression": "deep_coral"}
"""What ``--method auto`` is where one method alone is trained.

Of the methods that can learn numbers DeepCORAL has no adversary, and at the paper's scale it stays near the baseline.
"""
FIRST = "shot"
"""The first of several methods; source-only is trained as this one wants to start from it."""
METHODS = (FIRST, "nrc", "cdan")
"""Those that are tried beside source-only; they differ in principle, so that their errors differ."""
OF_IMAGES = (FIRST, "mcc", "cdan")
"""Those for images, which take longer; `mcc` helps there, and harms tables of two classes."""
SOURCE_FREE = (FIRST, "nrc")
"""Those where a Run is in the place of the source."""
WIDTHS = (256, 256)
"""Of a discriminator's hidden layers where several methods are tried: a quarter of the default, which takes most of the
time on a CPU."""
AUTO_SOURCE_FREE = "shot"
"""What ``--method auto`` is where the source is a finished Run."""
NEEDS_LABELS = {
    "balance",
    "target_share",
    "batch_norm",
    "freeze_batch_norm",
    "validation",
    "validate_every",
    "patience",
}
"""Settings of a training that have no effect where there are no labels and one set of images."""
BOTTLENECK = 256
"""Features that can still move where the backbone is frozen, as in SHOT (arXiv:2002.08546)."""


class Resolved(NamedTuple):
    """What the source and the request decide, before the target is looked at."""

    method: str
    linear: bool
    strategy: str
    settings: Settings
    options: Options
    training: Training
    pretrain: Pretraining | None


def resolve(request: Request, source: Domain, task: Task) -> Resolved:
    """Decide what a labelled source and a request leave open.

    Raises:
        BadInput: Options are unknown or contradict each other.
    """
    method = FIRST if tries_several(request, task) else AUTO_METHOD[task] if request.method == AUTO else request.method
    _check_ensemble(request, task)
    check_method(method)
    linear = _is_linear(method, request.backbone)
    strategy = strategy_of(request, method, linear=linear)
    settings, options, training = _of_linear(method, request) if linear else of_method(method, request)
    pretrain = _pretraining(method, request, settings, training, linear=linear)
    check_task(method, task)
    check_balance(training, task)
    if pretrain and source.kind != "images":
        raise BadInput(f"--pretrain: {pretrain.method} learns from views of images only; omit it")
    check_views(method, source)
    return Resolved(method, linear, strategy, settings, options, training, pretrain)


def tries_several(request: Request, task: Task) -> bool:
    """Whether several methods are trained.

    ``auto`` trains one alone where the others do not suit: for numbers, on a labelled target, after pretraining, with a
    linear model, or with an option of that method.
    """
    if request.method != AUTO:
        return request.method == ENSEMBLE
    given = request.target_labels is not None or request.pretrain is not None or request.backbone == LINEAR
    return task == "classification" and not given and not parse_settings(request.settings or {}).options


def methods_tried(source: Domain | None) -> tuple[str, ...]:
    """Those that are tried beside source-only where several are.

    Args:
        source: None where a Run is in its place.
    """
    if source is None:
        return SOURCE_FREE
    return OF_IMAGES if source.kind == "images" else METHODS


def options_tried(method: str) -> Options:
    """The options of a method, where they differ from its defaults, where several are tried."""
    usual = methods.options(method).get("widths")
    return {"widths": WIDTHS} if usual is not None and len(usual.default) == len(WIDTHS) else {}


def _check_ensemble(request: Request, task: Task) -> None:
    """Refuse what an ensemble of several methods cannot take."""
    if request.method != ENSEMBLE:
        return
    if task != "classification":
        raise BadInput(f"--method {ENSEMBLE}: predicts the mean of probabilities, and these are numbers; omit it")
    for flag, given in (("--target-labels", request.target_labels), ("--pretrain", request.pretrain)):
        if given is not None:
            raise BadInput(f"{flag}: has no effect with --method {ENSEMBLE}; remove it")
    for key in parse_settings(request.settings or {}).options:
        if any(key in methods.options(name) for name in methods.names()):
            raise BadInput(f"--set {key}: an option of one method, and --method {ENSEMBLE} has several; name a method")


def backbone_options(name: str, request: Request, resolved: Resolved) -> Options:
    """The backbone's options: its defaults that a recipe records, the settings, the weights."""
    usual = {} if resolved.linear else backbones.defaults(name)
    weights = {"weights": request.weights} if request.weights else {}
    given = bottleneck_for(resolved.method, resolved.strategy) | usual | resolved.settings.backbone | weights
    known = linear_training.options() if resolved.linear else backbones.options(name)
    return check_options(f"backbone {name}", given, known)


def bottleneck_for(method: str, strategy: str) -> Options:
    """The backbone's option that leaves features to move where a strategy freezes it and the method moves some."""
    return {"bottleneck": BOTTLENECK} if finetune.freezes_all(strategy) and _moves_features(method) else {}


def strategy_of(request: Request, method: str, *, linear: bool) -> str:
    """The fine-tuning strategy; ``auto`` is ``full`` until others are tried."""
    if linear and request.finetune != "auto":
        raise BadInput(f"--finetune: has no effect with {method} (linear model); omit it")
    name = "full" if request.finetune == "auto" else request.finetune
    finetune.options(name)
    return name


def looks_at_target(method: str) -> bool:
    """Whether a method learns from examples of the target, with labels or without."""
    return bool(methods.get(method).needs & {"target", "target_labels"})


def _moves_features(method: str) -> bool:
    """Whether a method changes features, and so does nothing where none can change."""
    return method not in shallow.names() and "target" in methods.get(method).needs


def _is_linear(method: str, backbone: str) -> bool:
    """Whether it is a shallow method before a linear model, or that model alone; and no network."""
    if method in shallow.names() and backbone not in {"auto", LINEAR}:
        raise BadInput(f"--backbone: method {method} stands before a linear model, not {backbone}; omit it")
    if backbone == LINEAR and method not in {"source_only", *shallow.names()}:
        raise BadInput(f"--backbone: method {method} trains a network, and {LINEAR} is not one; omit it")
    return method in shallow.names() or backbone == LINEAR


def _of_linear(method: str, request: Request) -> tuple[Settings, Options, Training]:
    """The settings, the method's options, and of the training the validation split alone."""
    settings = _settings(request)
    options = check_options(f"method {method}", settings.options, _options(method))
    given = {"--steps": request.steps, "--precision": request.precision, "--weights": request.weights}
    given |= {"--devices": request.devices if request.devices > 1 else None}
    given |= {f"train.{key}": True for key in settings.train if key != "validation"}
    given |= {"--augment": request.augment} | {f"augment.{key}": True for key in settings.augment}
    for name, value in given.items():
        if value is not None:
            raise BadInput(f"{name}: has no effect with {method} (linear model); remove it")
    return settings, options, check_training(settings.train)


def _options(method: str) -> dict[str, inspect.Parameter]:
    if method in shallow.names():
        return shallow.options(method)
    return {}  # those of source_only are for networks


def of_method(method: str, request: Request) -> tuple[Settings, Options, Training]:
    """The settings, the method's options, and how it is trained."""
    settings = _settings(request)
    options = check_options(f"method {method}", settings.options, methods.options(method))
    given = {"steps": request.steps, "precision": request.precision}
    if len(methods.get(method).needs) == 1:  # there are no two domains whose statistics could be kept apart
        if settings.train.get("batch_norm", "concat") != "concat":
            raise BadInput(f"train.batch_norm: has no effect with {method}, which learns from one domain; remove it")
        settings.train["batch_norm"] = "concat"
    else:
        settings.train.setdefault("batch_norm", methods.get(method).batch_norm)
    training = check_training({**{k: v for k, v in given.items() if v is not None}, **settings.train})
    return settings, options, training


def _pretraining(
    method: str, request: Request, settings: Settings, training: Training, *, linear: bool
) -> Pretraining | None:
    """How the backbone first learns without labels, if it does; settings that are not given are the training's."""
    if request.pretrain is None:
        return None
    name, given = request.pretrain, settings.pretrain
    check_pretraining(name)
    if linear:
        raise BadInput(f"--pretrain: has no effect with {method} (linear model); omit it")
    if methods.get(method).starts_from:
        raise BadInput(f"--pretrain: method {method} continues the source-only model instead; omit it")
    own, on = selfsup.options(name), given.get("on", "target")
    known = {"on", *own, *Training.model_fields} - NEEDS_LABELS
    if strange := [k for k in given if k not in known]:
        raise BadInput(f"pretrain has no setting {strange[0]!r}; {did_you_mean(strange[0], known)}")
    if on not in (places := ("target", "source", "both")):
        raise BadInput(f"pretrain.on={on!r}: whose images to learn from; {did_you_mean(str(on), places)}")
    options = check_options(f"--pretrain {name}", {k: v for k, v in given.items() if k in own}, own)
    as_later = {k: getattr(training, k) for k in training.model_fields_set - NEEDS_LABELS}
    of_training = {k: v for k, v in given.items() if k not in {"on", *own}}
    train = check_training({**as_later, **of_training, "batch_norm": "concat", "freeze_batch_norm": False}, "pretrain")
    if train.batch_size < 2:
        raise BadInput("pretrain.batch_size=1: images are compared with others of the batch; use 2 or more")
    return Pretraining(method=name, options=options, on=on, train=train)


def _settings(request: Request) -> Settings:
    settings = parse_settings(request.settings or {})
    if settings.pretrain and request.pretrain is None:
        name = next(iter(settings.pretrain))
        raise BadInput(f"pretrain.{name}: has no effect without --pretrain; add --pretrain byol, or remove it")
    return settings


def augmentation_of(
    settings: Settings, request: Request, shape: backbones.Shape, used: Mapping[str, bool]
) -> Augmentation:
    """The augmentation of each domain: ``--augment`` for those that are ``used``, unless a setting says otherwise."""
    for domain in settings.augment.keys() & used.keys():
        if not used[domain]:
            raise BadInput(f"augment.{domain}: the method does not learn from examples of the {domain}; remove it")
    both = {} if request.augment is None else {domain: request.augment for domain in used if used[domain]}
    augment = check_augmentation({**both, **settings.augment})
    augmentation.check(augment, images=shape.images, sparse=shape.sparse or shape.kind != "vectors")
    return augment
