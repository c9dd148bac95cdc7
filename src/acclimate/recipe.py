"""A recipe: all that decides a training, as data; YAML on disk, dotted keys on the command line."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from acclimate.errors import BadInput, did_you_mean, first_line

Options = dict[str, Any]
LINEAR = "linear"
"""The backbone that is none: a linear model of scikit-learn's, before which shallow methods stand."""

Task = Literal["classification", "regression"]
"""What the labels are, and so what is learnt: classes, or numbers."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=_Part)


class Training(_Part):
    """How the weights are moved; what is none is chosen by the backbone."""

    steps: int = Field(2000, ge=1, description="optimizer steps")
    batch_size: int = Field(64, ge=1, description="examples of each domain in a batch, over all processes")
    accumulate: int = Field(1, ge=1, description="batches whose mean gradient one step takes")
    optimizer: Literal["sgd", "adam", "adamw"] | None = Field(None, description="fused where the device allows it")
    lr: float | None = Field(None, gt=0, description="learning rate at the start")
    head_lr: float | None = Field(None, gt=0, description="how many times faster all but the backbone learns")
    schedule: Literal["dann", "cosine", "constant"] | None = Field(None, description="of the rate over progress")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float | None = Field(None, ge=0)
    batch_norm: Literal["separate", "concat", "domain"] = Field(
        "separate",
        description="statistics of each domain apart; of both mixed; or apart with affine parameters apart too",
    )
    freeze_batch_norm: bool | None = Field(
        None, description="whether batch norm of the backbone keeps the statistics that came with its weights"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="share of the source kept for validation")
    validate_every: int = Field(200, ge=1, description="steps between looks at the source's validation split")
    patience: int | None = Field(None, ge=1, description="looks without a better loss before it stops early")
    save_every: int = Field(200, ge=1, description="steps between checkpoints")
    balance: Literal["none", "sampler"] = Field(
        "none", description="sampler: rows of every class of the source come equally often"
    )
    target_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="of a batch's labelled rows, those of the target, where it has labels to learn from",
    )
    cache_mb: int = Field(1024, ge=0, description="memory for decoded images, over both domains, of each process")
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"] = "32-true"
    cache_features: bool = Field(True, description="run a backbone that never moves once for each example")
    compile: bool = Field(False, description="torch.compile the method")


class Pretraining(_Part):
    """What the backbone learns without labels before the adaptation, which goes on from it with a fresh head."""

    method: str
    options: Options = {}
    on: Literal["target", "source", "both"] = Field("target", description="whose examples it learns from")
    train: Training = Training()


class Augmentation(_Part):
    """What is done to the examples of each domain in training, anew each time one comes.

    Labelled examples of the target that come in a batch with the source's are done to as those are.
    """

    source: Literal["none", "flip_crop", "trivial", "noise"] = "none"
    target: Literal["none", "flip_crop", "trivial", "noise"] = "none"

    @property
    def any(self) -> bool:
        """Whether anything is done to one of them."""
        return (self.source, self.target) != ("none", "none")


class DomainSpec(_Part):
    """Where a domain came from and how it was read."""

    path: str
    label: str | None = None
    text: str | None = None
    image: str | None = None
    drop: tuple[str, ...] = ()


class TargetLabels(_Part):
    """Labelled examples of the target, given on purpose to learn from."""

    path: str
    n: int = Field(ge=1)


class LabelScale(_Part):
    """What the labels of a regression are standardised by: the source's mean and standard deviation."""

    mean: float = 0.0
    std: float = Field(1.0, gt=0)


class Recipe(_Part):
    """All that decides a training; with the same software it gives the same weights."""

    source: DomainSpec
    target: DomainSpec
    method: str
    options: Options = {}
    backbone: str
    backbone_options: Options = {}
    train: Training = Training()
    pretrain: Pretraining | None = None
    finetune: str = "full"
    finetune_options: Options = {}
    tried: dict[str, float] = Field({}, description="by rung, the source's validation loss of those that auto tried")
    augment: Augmentation = Augmentation()
    image_size: int | None = Field(None, ge=8)
    target_labels: TargetLabels | None = None
    seeds: tuple[int, ...] = (0,)
    task: Task = "classification"
    classes: tuple[str, ...] = ()
    scale: LabelScale = LabelScale()
    origin: str | None = Field(None, description="the Run whose source-only models it starts from")

    @property
    def n_outputs(self) -> int:
        """Outputs of the head: one for each class, or one number."""
        return 1 if self.task == "regression" else len(self.classes)

    @property
    def trains_a_network(self) -> bool:
        """Whether its models are networks, and not scikit-learn's."""
        return self.backbone != LINEAR

    @property
    def phases(self) -> tuple[str, ...]:
        """The models of one seed that predict: the baseline, then the method's unless it is the baseline itself."""
        alone = self.method == "source_only" and not (self.pretrain or self.target_labels)
        return ("source_only",) if alone else ("source_only", "adapted")

    @property
    def trainings(self) -> tuple[str, ...]:
        """The trainings of one seed in their order: of `phases`, and of the backbone before the method's if asked."""
        before, *after = self.phases
        return (before, *(["pretrained"] if self.pretrain else []), *after)

    def separates_batch_norm(self, phase: str) -> bool:
        """Whether the model of this phase keeps statistics for each domain; only where a method sees two apart."""
        return phase == "adapted" and self.train.batch_norm != "concat"

    def save(self, path: Path) -> None:
        """Write it as YAML."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it back.

        Raises:
            BadInput: It is no recipe.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text("utf-8")))
        except ValidationError as error:
            raise BadInput(f"{path}: not a recipe ({_first(error, '')}); was it changed by hand?") from error
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise BadInput(f"{path}: not a recipe ({first_line(error)}); was it changed by hand?") from error


class Settings(BaseModel):
    """What ``--set key=value`` says, sorted by whom it is for."""

    options: Options = {}
    backbone: Options = {}
    train: Options = {}
    pretrain: Options = {}
    finetune: Options = {}
    augment: Options = {}


def parse_settings(texts: Mapping[str, Any]) -> Settings:
    """Sort dotted keys: of ``train.``, ``backbone.``, ``pretrain.``, ``finetune.``, ``augment.``; else the method's.

    Args:
        texts: Keys with values that are YAML texts (from a command line) or Python's own.

    Raises:
        BadInput: A value is no YAML.
    """
    settings = Settings()
    for key, text in texts.items():
        value = _value(key, text) if isinstance(text, str) else text
        first, _, rest = key.partition(".")
        if rest and first in Settings.model_fields.keys() - {"options"}:
            getattr(settings, first)[rest] = value
        elif rest:
            inner = settings.options.setdefault(first, {})
            if not isinstance(inner, dict):
                raise BadInput(f"--set {key}: {first} is set to {inner!r} already; give one of the two")
            inner[rest] = value
        else:
            settings.options[key] = value
    return settings


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {key}={text}: the value cannot be read; quote it if it is text") from error


def check_training(given: Mapping[str, Any], of: str = "train") -> Training:
    """Training settings from ``given``, defaults for the rest; a message calls them settings ``of`` that.

    Raises:
        BadInput: A key is unknown or a value does not fit.
    """
    return _checked(Training, of, given)


def check_augmentation(given: Mapping[str, Any]) -> Augmentation:
    """Augmentation of each domain from ``given``, none for the rest.

    Raises:
        BadInput: A domain or an augmentation is unknown.
    """
    return _checked(Augmentation, "augment", given)


def _checked(kind: type[P], name: str, given: Mapping[str, Any]) -> P:
    for key in given:
        if key not in kind.model_fields:
            raise BadInput(f"{name} has no setting {key!r}; {did_you_mean(key, kind.model_fields)}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise BadInput(_first(error, f"{name}.")) from error


def check_options(owner: str, given: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> Options:
    """The options ``given`` to ``owner``, each brought to the type in its signature.

    Raises:
        BadInput: A name is unknown, or a value does not fit.
    """
    checked: Options = {}
    for key, value in given.items():
        if key not in known:
            raise BadInput(f"{owner} has no option {key!r}; {did_you_mean(key, known)}")
        try:
            checked[key] = TypeAdapter(known[key].annotation).validate_python(value)
        except ValidationError as error:
            raise BadInput(f"{owner}: option {key}={value!r:.80} does not fit; {error.errors()[0]['msg']}") from error
    return checked


def _first(error: ValidationError, prefix: str) -> str:
    problem = error.errors()[0]
    key = prefix + ".".join(str(p) for p in problem["loc"])
    if problem["type"] == "missing":
        return f"{key} is missing"
    return f"{key or 'it'}={problem['input']!r:.80} does not fit; {problem['msg']}"
