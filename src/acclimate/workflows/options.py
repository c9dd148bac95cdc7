"""The options of the workflows, described once: `adapt`, `labels`, the command line and its help are made from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from acclimate import plugins
from acclimate.errors import BadInput, did_you_mean
from acclimate.recipe import DomainSpec

if TYPE_CHECKING:  # so that --help needs no torch
    from acclimate.data.source import Source
    from acclimate.methods.base import Method
else:
    Source = object


class OneMethod(BaseModel):
    """Options of the workflows that train one method."""

    method: str = Field(
        "auto",
        description="What is minimised: a name that `acclimate methods` lists, MODULE:CLASS, auto (a student of "
        "several methods), or ensemble (their mean).",
    )
    pretrain: str | None = Field(
        None,
        description="Self-supervised method by which the backbone first learns from unlabelled images: byol, vicreg.",
    )


class TrainingOptions(BaseModel):
    """Options of every workflow that trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finetune: str = Field(
        "auto",
        description="Which weights move, when and how fast: full, feature_extraction, partial, llrd, gradual, lp_ft or "
        "lora. auto tries three of them on a pretrained backbone, from simplest to fullest; else it is full.",
    )
    budget: float | None = Field(
        None,
        ge=0,
        description="Minutes that a further strategy of finetune auto may take, and all methods of auto or ensemble "
        "together; what would take longer is not tried. 10 by default on a CPU, without a limit on a GPU.",
    )
    backbone: str = Field(
        "auto",
        description="auto, mnist, svhn, gtsrb, cnn, mlp, efficientnet_lite0, timm:MODEL, minilm, encoder:FOLDER, "
        "fusion, linear (what shallow methods stand before), or MODULE:NAME of a function that builds one.",
    )
    weights: str | None = Field(None, description="Local .safetensors or .pth file for the backbone.")
    image_size: int | None = Field(None, description="Pixels a side to which images are resized.")
    steps: int | None = Field(None, description="Optimizer steps of a training.")
    seeds: int | Sequence[int] = Field(1, description="How many seeds to train; in Python also which.")
    label: str | None = Field(None, description="Column of a table with classes, or with numbers to predict.")
    text: str | None = Field(None, description="Column with the text to learn from; several separated by commas.")
    image: str | None = Field(
        None, description="Column with paths of the images to learn from, relative to the table's folder."
    )
    drop: Sequence[str] = Field((), description="Columns of a table to leave out.")
    max_bad: str = Field(
        "1%", description="Share of the image files of a domain that may be broken; they are left out with a warning."
    )
    strict: bool = Field(False, description="Refuse every broken image file, as max_bad 0 does.")
    settings: Mapping[str, object] | None = Field(
        None,
        description="Options by dotted name: the method's own, train.…, finetune.…, pretrain.…, backbone.…, augment.…",
    )
    augment: str | None = Field(
        None, description="Augmentation of both domains in training: none, flip_crop, trivial or noise."
    )
    precision: str | None = Field(None, description="32-true, bf16-mixed, 16-mixed, bf16-true or 64-true.")
    positive: Sequence[str] = Field((), description="Classes that together count as positive for the AUC.")
    tta: Sequence[str] = Field(
        (),
        description="Views of each image to average over, for scores beside the plain ones: hflip, shift, five_crop.",
    )
    devices: int = Field(1, description="Processes, or GPUs.")

    def spec(self) -> DomainSpec:
        """How the domains are read.

        Raises:
            BadInput: The share of broken images is no share.
        """
        max_bad = 0.0 if self.strict else _share("--max-bad", self.max_bad)
        return DomainSpec(
            path="", label=self.label, text=self.text, image=self.image, drop=tuple(self.drop), max_bad=max_bad
        )


class SharedOptions(TrainingOptions, OneMethod):
    """Options of `adapt` and of `labels`; pydantic takes the fields of the last base first."""


class Request(SharedOptions):
    """Options of `adapt`, beside the two domains."""

    task: str = Field(
        "auto",
        description="classification, regression, or auto: regression if the labels are numbers with fractions, or "
        "about as many different numbers as examples.",
    )
    score: Source | None = Field(
        None, description="Labelled target for scores alone: checked before training, used after it."
    )
    audit: Source | None = Field(
        None,
        description="Labelled examples of the target, drawn at random, for reporting alone: they tell how good the "
        "finished Run is, and are never trained on or chosen by.",
    )
    no_guard: bool = Field(False, description="Keep the adapted model even where it shows signs of collapse.")
    target_labels: Source | None = Field(
        None, description="Labelled target to train on: beside the source, or alone with method supervised."
    )


class LabelRequest(SharedOptions):
    """Options of `labels`, beside the two domains."""

    fractions: Sequence[float] = Field((), description="Fractions of the labels to draw: 0.01,0.05,0.1,1 by default.")
    per_class: Sequence[int] = Field((), description="Labels to draw of each class.")
    strategies: Sequence[str] = Field(
        (), description="METHOD or METHOD+FINETUNE: source_only, supervised and the method by default."
    )
    held_out: float = Field(0.5, description="Fraction of each class of the target that is kept for scores.")
    score: Source | None = Field(None, description="Labelled target to score on instead.")
    seeds: int | Sequence[int] = Field(3, description="How many seeds to train; in Python also which.")


class CompareRequest(TrainingOptions):
    """Options of `compare`, beside the two domains."""

    methods: Sequence[str] = Field(
        (), description="Methods to compare, as `acclimate methods` lists them; all that suit the data by default."
    )
    score: Source | None = Field(
        None, description="Labelled target for scores alone: checked before training, used after the choice."
    )
    seeds: int | Sequence[int] = Field(3, description="How many seeds to train; in Python also which.")
    workers: int = Field(1, ge=1, description="Processes on this machine that share the trainings and its threads.")
    on: str = Field("", description="Train on Ray: ray for the cluster of this machine, or one's address, HOST:PORT.")


class PredictOptions(BaseModel):
    """Options of the command ``predict``: how `acclimate.Run.predict` predicts, and what is made of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(
        "",
        description="What predicts: kept, source_only or adapted (the first seed's model), or ensemble (the mean of "
        "all seeds' kept models).",
    )
    label_shift: str = Field(
        "", description="Estimate the class shares of INPUT and correct for them: bbse, rlls or em."
    )
    test_time: str = Field(
        "", description="Adapt while predicting: adabn, tent or lame. Reads INPUT as a stream, in its order."
    )
    settings: Mapping[str, object] | None = Field(None, description="An option of --test-time, e.g. most_changed=0.2.")
    tta: Sequence[str] = Field((), description="Predict the mean over views: hflip, shift, five_crop.")


class TrainingKeywords(TypedDict, total=False):
    """The types of `TrainingOptions` for type checkers; a test keeps them equal."""

    finetune: str
    budget: float | None
    backbone: str | Callable[..., object]
    weights: str | None
    image_size: int | None
    steps: int | None
    seeds: int | Sequence[int]
    label: str | None
    text: str | None
    image: str | None
    drop: Sequence[str]
    max_bad: str
    strict: bool
    settings: Mapping[str, object] | None
    augment: str | None
    precision: str | None
    positive: Sequence[str]
    tta: Sequence[str]
    devices: int


class SharedKeywords(TrainingKeywords, total=False):
    """The types of `SharedOptions` for type checkers."""

    method: str | type[Method]
    pretrain: str | None


class AdaptKeywords(SharedKeywords, total=False):
    """The types of `Request` for type checkers."""

    task: str
    score: Source | None
    audit: Source | None
    no_guard: bool
    target_labels: Source | None


class LabelKeywords(SharedKeywords, total=False):
    """The types of `LabelRequest` for type checkers."""

    fractions: Sequence[float]
    per_class: Sequence[int]
    strategies: Sequence[str]
    held_out: float
    score: Source | None


class CompareKeywords(TrainingKeywords, total=False):
    """The types of `CompareRequest` for type checkers."""

    methods: Sequence[str]
    score: Source | None
    workers: int
    on: str


def _share(option: str, text: str) -> float:
    """Return the number that a share, ``1%`` or ``0.01``, stands for."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise BadInput(f"{option}: {text!r} is not a share; give a percentage such as 1%, or a number from 0 to 1")
    return share


class PredictKeywords(TypedDict):
    """The types of `PredictOptions` for type checkers."""

    model: str
    label_shift: str
    test_time: str
    settings: Mapping[str, object] | None
    tta: Sequence[str]


R = TypeVar("R", bound=TrainingOptions)
F = TypeVar("F", bound=Callable[..., object])


def parse_request(kind: type[R], given: Mapping[str, object]) -> R:
    """The options that are given, with defaults for the rest.

    Raises:
        BadInput: An option is unknown, or has a value of the wrong type.
    """
    for name in given:
        if name not in kind.model_fields:
            raise BadInput(f"no option {name!r}; {did_you_mean(name, kind.model_fields)}")
    named = {name: plugins.spec_of(value) if callable(value) else value for name, value in given.items()}
    named |= {
        name: plugins.import_spec(value)
        for name, value in named.items()
        if isinstance(value, str) and _is_plugin(name, value)
    }
    try:
        return kind(**named)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        raise BadInput(f"{name}={given[name]!r:.80}: {problem['msg'].lower()}") from error


def _is_plugin(name: str, value: str) -> bool:
    """Whether an option names something outside the package, which is then imported, as the caller requests."""
    return name in {"method", "backbone"} and plugins.is_spec(value)


def described_by(kind: type[TrainingOptions]) -> Callable[[F], F]:
    """Give a function with ``**options`` the signature and the docstring of the options of ``kind``."""

    def describe(function: F) -> F:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in kind.model_fields.items()
        ]
        function.__dict__["__signature__"] = signature.replace(parameters=[*own, *options])
        lines = "\n".join(f"        {name}: {field.description}" for name, field in kind.model_fields.items())
        function.__doc__ = (function.__doc__ or "").replace("        **options: See below.", lines)
        return function

    return describe
