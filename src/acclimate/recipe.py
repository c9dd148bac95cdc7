"""A recipe: all settings that determine a training. YAML on disk, dotted keys on the command line."""

import inspect
import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from acclimate.errors import BadInput, damaged, did_you_mean, first_line, nearest
from acclimate.typed_json import read_text

LARGEST_SEED = 2**32 - 1
MOST_SEEDS = 1000
LARGEST_RECIPE = 2**24
"""Bytes of a file with a recipe."""
DEEPEST = 20
"""Levels of lists and mappings in YAML."""


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse option values that YAML may hold and no option takes: dates, sets, numbers that are not finite."""
    left: list[Any] = [options]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            left += value
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a value is not a finite number")
        elif not isinstance(value, bool | int | float | str | None):
            raise ValueError(f"a value is a {type(value).__name__}")
    return options


Options = dict[str, Any]
"""Values by the names of parameters, which check them: a type checker cannot know what a name stands for."""
PlainOptions = Annotated[Options, AfterValidator(_plain)]
"""Those of a recipe."""
LINEAR = "linear"
"""The name that stands for no backbone: a linear model of scikit-learn, preceded by a shallow method."""

AUTO, ENSEMBLE, STUDENT = "auto", "ensemble", "student"
"""Names of methods: of the default, of several models that predict together, of one that learns what they predict."""
TEACHER = "teacher"
"""The name of a student's teacher among the models of a seed."""

Task = Literal["classification", "regression"]
"""Whether the labels are classes or numbers."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


P = TypeVar("P", bound=_Part)


class Training(_Part):
    """Settings of the optimisation; the backbone chooses those that are None."""

    steps: int = Field(2000, ge=1, description="optimizer steps")
    batch_size: int = Field(64, ge=1, le=2**16, description="examples of each domain in a batch, over all processes")
    accumulate: int = Field(1, ge=1, le=10_000, description="batches whose mean gradient one step takes")
    optimizer: Literal["sgd", "adam", "adamw"] | None = Field(None, description="fused where the device allows it")
    lr: float | None = Field(None, gt=0, description="learning rate at the start")
    head_lr: float | None = Field(None, gt=0, description="rate of all but the backbone, as a multiple of lr")
    schedule: Literal["dann", "cosine", "constant"] | None = Field(None, description="learning rate over progress")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float | None = Field(None, ge=0)
    batch_norm: Literal["separate", "concat", "domain"] = Field(
        "separate",
        description="separate: statistics for each domain; concat: for both together; domain: affine parameters too",
    )
    freeze_batch_norm: bool | None = Field(
        None, description="whether batch norm of the backbone keeps its pretrained statistics"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="fraction of the source held out for validation")
    validate_every: int = Field(200, ge=1, description="steps between validations on the source's validation split")
    patience: int | None = Field(None, ge=1, description="validations without a lower loss before early stopping")
    save_every: int = Field(200, ge=1, description="steps between checkpoints")
    save_seconds: float = Field(60, gt=0, description="seconds after which a checkpoint is written in any case")
    balance: Literal["none", "sampler"] = Field(
        "none", description="sampler: draw rows of every class of the source equally often"
    )
    target_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="fraction of a batch's labelled rows from the target, if it has labels to train on",
    )
    cache_mb: int = Field(1024, ge=0, description="memory of each process for decoded images of both domains")
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"] = "32-true"
    cache_features: bool = Field(True, description="compute features of a frozen backbone once for each example")
    compile: bool = Field(False, description="apply torch.compile to the method")


class Pretraining(_Part):
    """Self-supervised training of the backbone before the adaptation, which then starts with a new head."""

    method: str
    options: PlainOptions = {}
    on: Literal["target", "source", "both"] = Field("target", description="domains to learn from")
    train: Training = Training()


class Augmentation(_Part):
    """Random augmentation of the examples of each domain in training.

    Labelled examples of the target that share a batch with the source get the source's augmentation.
    """

    source: Literal["none", "flip_crop", "trivial", "noise"] = "none"
    target: Literal["none", "flip_crop", "trivial", "noise"] = "none"

    @property
    def any(self) -> bool:
        """Whether any domain is augmented."""
        return (self.source, self.target) != ("none", "none")


class DomainSpec(_Part):
    """Where a domain comes from and how it is read."""

    path: str
    label: str | None = None
    text: str | None = None
    image: str | None = None
    drop: tuple[str, ...] = ()
    max_bad: float = Field(0.01, ge=0, lt=1, description="share of broken images that may be left out")


class TargetLabels(_Part):
    """Labelled examples of the target to train on."""

    path: str
    n: int = Field(ge=1)


class ScoredOn(_Part):
    """Labelled examples that the models are scored on; training does not see their labels."""

    path: str
    n: int = Field(ge=1)
    digest: str


class PooledSource(_Part):
    """One of several sources."""

    path: str
    n: int = Field(ge=1)
    digest: str


class LabelScale(_Part):
    """Mean and standard deviation of the source's labels, which standardise the labels of a regression."""

    mean: float = 0.0
    std: float = Field(1.0, gt=0)


class Member(_Part):
    """One of the methods whose models predict together."""

    method: str
    options: PlainOptions = {}
    train: Training = Training()


class Recipe(_Part):
    """All settings that determine a training; the same software gives the same weights."""

    source: DomainSpec
    sources: tuple[PooledSource, ...] = Field((), description="those that the source was pooled from, if several")
    target: DomainSpec
    method: str
    options: PlainOptions = {}
    backbone: str
    backbone_options: PlainOptions = {}
    train: Training = Training()
    pretrain: Pretraining | None = None
    finetune: str = "full"
    finetune_options: PlainOptions = {}
    members: tuple[Member, ...] = Field((), description="whose mean probabilities the adapted model gives, or learns")
    tried_methods: dict[str, str] = Field({}, description="those that auto tried, with why gates rejected them")
    tried: dict[str, float] = Field({}, description="error on the source by strategy, of those that auto tried")
    augment: Augmentation = Augmentation()
    image_size: int | None = Field(None, ge=8, le=4096)
    target_labels: TargetLabels | None = None
    score: ScoredOn | None = Field(None, description="what the scores are of; training does not depend on it")
    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...] = Field((0,), min_length=1, max_length=MOST_SEEDS)
    task: Task = "classification"
    classes: tuple[str, ...] = ()
    label_type: Literal["text", "integer", "number"] = Field("text", description="how the source's labels were given")
    scale: LabelScale = LabelScale()
    origin: str | None = Field(None, description="the Run whose source-only models the training starts from")
    digests: dict[str, str] = Field({}, description="hashes of source, target and target_labels, as they were read")
    plugins: dict[str, str] = Field({}, description="packages or modules of methods and backbones from elsewhere")

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed occurs twice")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class occurs twice")
        if self.task == "regression" and self.classes:
            raise ValueError("a regression has no classes")
        return self

    @property
    def source_paths(self) -> tuple[str, ...]:
        """The path of each source."""
        return tuple(one.path for one in self.sources) or (self.source.path,)

    @property
    def n_outputs(self) -> int:
        """Outputs of the head: one for each class, or one for a regression."""
        return len(self.classes) or 1

    @property
    def method_name(self) -> str:
        """What ``--method`` calls it: a student is what ``auto`` comes to."""
        return AUTO if self.method == STUDENT else self.method

    @property
    def trains_a_network(self) -> bool:
        """Whether its models are networks rather than scikit-learn's."""
        return self.backbone != LINEAR

    @property
    def phases(self) -> tuple[Literal["source_only", "adapted"], ...]:
        """The models of one seed that predict: the baseline, then the adapted model, if the method adapts."""
        alone = self.method == "source_only" and not (self.pretrain or self.target_labels)
        return ("source_only",) if alone else ("source_only", "adapted")

    @property
    def trainings(self) -> tuple[str, ...]:
        """The trainings of one seed in order: those of `phases`, and any pretraining before the adaptation."""
        before, *after = self.phases
        return (before, *(["pretrained"] if self.pretrain else []), *after)

    def separates_batch_norm(self, phase: str) -> bool:
        """Whether batch norm in the model of this phase keeps statistics for each domain: only adaptation sees both."""
        return phase == "adapted" and self.train.batch_norm != "concat"

    def of_member(self, member: Member) -> Self:
        """The recipe by which one of the members was trained."""
        return self.model_copy(update={**dict(member), "members": ()})

    def save(self, path: Path) -> None:
        """Write it as YAML."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it from the YAML in a Run.

        Raises:
            BadInput: The file is not a recipe.
        """
        try:
            return cls.model_validate(load_yaml(read_text(path, largest=LARGEST_RECIPE)))
        except ValidationError as error:
            raise damaged(path.parent, path.name, f"not a recipe ({_first_problem(error, '')})") from error
        except (ValueError, OverflowError, yaml.YAMLError) as error:
            raise damaged(path.parent, path.name, f"not a recipe ({first_line(error)})") from error


_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def load_yaml(text: str) -> object:
    """Read plain YAML.

    Raises:
        YAMLError: It is not YAML, nested too deep, or has aliases.
        ValueError: A number or date in it cannot be.
    """
    _check_flat(text)
    value: object = yaml.load(text, _LOADER)
    return value


def _check_flat(text: str) -> None:
    """Refuse what a few lines of YAML can blow up: deep nesting, and nodes that are used again by name."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth >= DEEPEST:
            raise yaml.YAMLError(f"nested more than {DEEPEST} levels deep")


def check_task_name(name: str) -> None:
    """Refuse a task other than ``auto``, ``classification`` and ``regression``.

    Raises:
        BadInput: There is no such task.
    """
    if name not in (known := ["auto", *get_args(Task)]):
        raise BadInput(f"no task {name!r}; {did_you_mean(name, known)}")


def require_classes(task: Task, option: str) -> None:
    """Refuse an option that has a meaning for classes only.

    Raises:
        BadInput: The labels are numbers.
    """
    if task == "regression":
        raise BadInput(f"{option}: is for classes, and these labels are numbers; omit it")


class Settings(BaseModel):
    """The settings of ``--set key=value``, sorted by their prefix."""

    options: Options = {}
    backbone: Options = {}
    train: Options = {}
    pretrain: Options = {}
    finetune: Options = {}
    augment: Options = {}


def parse_settings(texts: Mapping[str, object]) -> Settings:
    """Sort settings by prefix: ``train.``, ``backbone.``, ``pretrain.``, ``finetune.``, ``augment.``, or the method's.

    Args:
        texts: Values by dotted key: YAML texts (from the command line) or Python objects.

    Raises:
        BadInput: A value is not YAML, or two keys contradict each other.
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
                raise BadInput(f"--set {key}: {first} is already set to {inner!r}; remove one of the two")
            inner[rest] = value
        else:
            settings.options[key] = value
    return settings


def _value(key: str, text: str) -> object:
    try:
        return load_yaml(text)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise BadInput(f"--set {key}={text:.80}: the value is not valid YAML; put text in quotes") from error


def check_training(given: Mapping[str, object], of: str = "train") -> Training:
    """Return the training settings ``given``, with defaults for the rest; messages name them as settings ``of`` that.

    Raises:
        BadInput: A key is unknown or a value is invalid.
    """
    return _checked(Training, of, given)


def check_augmentation(given: Mapping[str, object]) -> Augmentation:
    """Return the augmentation ``given`` for each domain, none by default.

    Raises:
        BadInput: A domain or an augmentation is unknown.
    """
    return _checked(Augmentation, "augment", given)


def _checked(kind: type[P], name: str, given: Mapping[str, object]) -> P:
    for key in given:
        if key not in kind.model_fields:
            meant = OTHER_NAMES.get(key, key) if kind is Training else key
            raise BadInput(f"{name} has no setting {key!r}; {did_you_mean(meant, kind.model_fields)}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise BadInput(_first_problem(error, f"{name}.")) from error


def check_options(owner: str, given: Mapping[str, object], known: Mapping[str, inspect.Parameter]) -> Options:
    """Return the options ``given`` to ``owner``, each converted to the type in its signature.

    Raises:
        BadInput: A name is unknown, or a value is invalid.
    """
    check_known(owner, given, known)
    checked: Options = {}
    for key, value in given.items():
        try:
            checked[key] = TypeAdapter(known[key].annotation).validate_python(value)
        except ValidationError as error:
            raise BadInput(f"{owner}: option {key}={value!r:.80} is invalid; {_why(error.errors()[0])}") from error
        if isinstance(checked[key], float) and not math.isfinite(checked[key]):
            raise BadInput(f"{owner}: option {key}={value!r:.80} is invalid; give a finite number")
    return checked


def check_known(owner: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse options that ``owner`` does not have.

    Raises:
        BadInput: A name is unknown.
    """
    for key in given:
        if key not in known:
            raise BadInput(f"{owner} has no option {key!r}; {_meant(key, known) or did_you_mean(key, known)}")


OTHER_NAMES = {
    "learning_rate": "lr",
    "num_steps": "steps",
    "max_steps": "steps",
    "num_epochs": "steps",
    "epochs": "steps",
}
"""What other software calls our training settings."""


def setting_meant(key: str) -> str:
    """The setting of the training that other software calls so, e.g. ``train.lr``; empty if there is none."""
    setting = OTHER_NAMES.get(key, key)
    return f"train.{setting}" if setting in Training.model_fields else ""


def _meant(key: str, known: Collection[str]) -> str:
    """The end of a message about an option that is known elsewhere, or by another name; empty if it is not."""
    other = OTHER_NAMES.get(key)
    if other in known or nearest(key, known):
        return f"did you mean {other}?" if other in known else ""
    section = nearest(key, Settings.model_fields.keys() - {"options"})
    meant = setting_meant(key) or (f"{section}.…" if section else "")
    return f"did you mean {meant}?" if meant else ""


def _first_problem(error: ValidationError, prefix: str) -> str:
    problem = error.errors()[0]
    key = prefix + ".".join(str(p) for p in problem["loc"])
    if problem["type"] == "missing":
        return f"{key} is missing"
    return f"{key or 'it'}={problem['input']!r:.80} is invalid; {_why(problem)}"


def _why(problem: ErrorDetails) -> str:
    """What is wrong with a value; of one that is none of some choices, the nearest."""
    if problem["type"] == "literal_error":
        return did_you_mean(str(problem["input"]), re.findall(r"'([^']*)'", problem["ctx"]["expected"]))
    return problem["msg"][:1].lower() + problem["msg"][1:]
