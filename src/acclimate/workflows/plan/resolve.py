"""From what is asked for to options, rung and training, before the target is looked at."""

import inspect
from collections.abc import Mapping
from typing import NamedTuple

from acclimate import backbones, finetune, methods
from acclimate.augment import augmentation
from acclimate.data import Domain
from acclimate.errors import BadInput, did_you_mean
from acclimate.methods import selfsup, shallow
from acclimate.recipe import (
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
from acclimate.training import linear as fitting
from acclimate.workflows.plan.request import Request, check_balance, check_name, check_task, check_views

AUTO_METHOD: Mapping[Task, str] = {"classification": "mcc", "regression": "deep_coral"}
"""What ``--method auto`` is until methods are compared without target labels.

Of those that can learn numbers DeepCORAL has no adversary, and at the paper's scale it stays near the baseline.
"""
AUTO_SOURCE_FREE = "shot"
"""What it is where the source is a finished Run."""
WITH_LABELS = {"balance", "target_share", "batch_norm", "freeze_batch_norm", "validation", "validate_every", "patience"}
"""Settings of a training that say nothing where there are no labels and one set of images."""
BOTTLENECK = 256
"""Features that are left to move where the backbone is frozen, as in SHOT (arXiv:2002.08546)."""


class Resolved(NamedTuple):
    """What the source and what is asked for decide, before the target is looked at."""

    method: str
    linear: bool
    rung: str
    parsed: Settings
    options: Options
    training: Training
    pretrain: Pretraining | None


def resolve(asked: Request, here: Domain, task: Task) -> Resolved:
    """What a labelled source makes of it.

    Raises:
        BadInput: Something that cannot be, or that goes not with something else.
    """
    method = AUTO_METHOD[task] if asked.method == "auto" else asked.method
    check_name(method)
    linear = _is_linear(method, asked.backbone)
    rung = rung_of(asked, method, linear=linear)
    parsed, options, training = _of_linear(method, asked) if linear else of_method(method, asked)
    pretrain = _pretraining(method, asked, parsed, training, linear=linear)
    check_task(method, task)
    check_balance(training, task)
    if pretrain and here.kind != "images":
        raise BadInput(f"--pretrain {pretrain.method}: learns from views of images alone; leave it out")
    check_views(method, here)
    return Resolved(method, linear, rung, parsed, options, training, pretrain)


def backbone_options(name: str, asked: Request, said: Resolved) -> Options:
    """The backbone's options."""
    usual = {} if said.linear else backbones.defaults(name)
    more = {**usual, **said.parsed.backbone, **({"weights": asked.weights} if asked.weights else {})}
    more = bottleneck_for(said.method, said.rung) | more
    return check_options(f"backbone {name}", more, fitting.options() if said.linear else backbones.options(name))


def bottleneck_for(method: str, strategy: str) -> Options:
    """The backbone's option that leaves features to move where a strategy freezes it and a method has to move some."""
    return {"bottleneck": BOTTLENECK} if finetune.freezes_all(strategy) and _moves_features(method) else {}


def rung_of(asked: Request, method: str, *, linear: bool) -> str:
    """The rung of the fine-tuning ladder; ``auto`` leaves nothing still, until others are tried."""
    if linear and asked.finetune != "auto":
        raise BadInput(f"--finetune: is of a network's weights, and {method} fits a linear model; leave it out")
    name = "full" if asked.finetune == "auto" else asked.finetune
    finetune.options(name)
    return name


def _moves_features(method: str) -> bool:
    """Whether a method changes features, and so does nothing where there is none that can be changed."""
    return method in methods.names() and "target" in methods.get(method).needs


def looks_at_the_target(method: str) -> bool:
    """Whether a method learns from examples of the target, with labels or without."""
    return bool(methods.get(method).needs & {"target", "target_labels"})


def _is_linear(method: str, backbone: str) -> bool:
    """Whether it is a shallow method before a linear model, or that model alone; and no network."""
    if method in shallow.names() and backbone not in {"auto", LINEAR}:
        raise BadInput(f"method {method} stands before a linear model, not {backbone}; leave --backbone out")
    if backbone == LINEAR and method not in {"source_only", *shallow.names()}:
        raise BadInput(f"method {method} trains a network, and backbone {LINEAR} is none; leave --backbone out")
    return method in shallow.names() or backbone == LINEAR


def _of_linear(method: str, asked: Request) -> tuple[Settings, Options, Training]:
    """The settings, the method's options among them; of how a network is trained only the validation split is left."""
    parsed = _settings(asked)
    options = check_options(f"method {method}", parsed.options, _options(method))
    told = {"--steps": asked.steps, "--precision": asked.precision, "--weights": asked.weights}
    told |= {"--devices": asked.devices if asked.devices > 1 else None}
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


def of_method(method: str, asked: Request) -> tuple[Settings, Options, Training]:
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
    method: str, asked: Request, parsed: Settings, training: Training, *, linear: bool
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


def _settings(asked: Request) -> Settings:
    parsed = parse_settings(asked.settings or {})
    if parsed.pretrain and asked.pretrain is None:
        raise BadInput(
            f"pretrain.{next(iter(parsed.pretrain))}: says how a backbone is pretrained; add --pretrain byol, "
            "or leave it out"
        )
    return parsed


def augmentation_of(parsed: Settings, asked: Request, shape: backbones.Shape, met: Mapping[str, bool]) -> Augmentation:
    """What is done to each domain: what ``--augment`` says to those that are ``met``, unless it is set for one."""
    for domain in parsed.augment.keys() & met.keys():
        if not met[domain]:
            raise BadInput(f"augment.{domain}: nothing is learnt here from examples of the {domain}; leave it out")
    both = {} if asked.augment is None else {domain: asked.augment for domain in met if met[domain]}
    augment = check_augmentation({**both, **parsed.augment})
    augmentation.check(augment, images=shape.images, sparse=shape.sparse or shape.kind != "vectors")
    return augment
