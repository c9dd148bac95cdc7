"""What the JSON files of a Run and of label curves contain."""

from collections.abc import Mapping, Sequence
from typing import (
    Annotated,
    Literal,
    NotRequired,  # before Python 3.12 pydantic knows no others
    TypeAlias,
    final,
)

from pydantic import Field
from typing_extensions import TypedDict

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What JSON can contain."""
Phase = Literal["source_only", "adapted"]
"""The models of a seed that predict."""
PHASES: tuple[Phase, ...] = ("source_only", "adapted")
Predictor = Literal["source_only", "adapted", "ensemble"]
"""What predicts: one seed's model of a phase, or the mean over the seeds of the phase that is kept."""
ScoredPart = Literal["target", "target_tta"]
"""The parts of ``scores.json`` that need labels of the target: without and with views."""
ClassMeasure = Literal["accuracy", "f1", "log_loss", "auc"]
NumberMeasure = Literal["mae", "rmse", "r2"]
Measure: TypeAlias = ClassMeasure | NumberMeasure
Share = Annotated[float, Field(ge=-1e-9, le=1 + 1e-9)]
"""A number from 0 to 1, but for rounding."""


class Line(TypedDict):
    """One line of ``losses.jsonl``, without the losses, which stand beside these under their names."""

    seed: int
    phase: str
    step: int


class ClassSummary(TypedDict):
    """Scores of predicted classes over all classes."""

    accuracy: Share
    f1: Share
    log_loss: float
    auc: Share | None


class ClassScores(ClassSummary):
    """Scores of predicted classes on a labelled domain."""

    f1_by_class: dict[str, Share | None]


class NumberScores(TypedDict):
    """Scores of predicted numbers on a labelled domain."""

    mae: float
    rmse: float
    r2: float


class Scored(TypedDict, total=False):
    """The keys of `ClassScores` or of `NumberScores`, and with several seeds each standard deviation.

    ``n`` is the number of examples, for each seed; Runs up to format 2 do not have it.
    """

    n: int
    accuracy: Share
    f1: Share
    log_loss: float
    auc: Share | None
    f1_by_class: dict[str, Share | None]
    mae: float
    rmse: float
    r2: float
    accuracy_sd: float | None
    f1_sd: float | None
    log_loss_sd: float | None
    auc_sd: float | None
    f1_by_class_sd: dict[str, float | None]
    mae_sd: float
    rmse_sd: float
    r2_sd: float


@final
class AccuracyEstimate(TypedDict):
    """The accuracy on the target, estimated without its labels, with a 90 % interval.

    ``labels`` is how many random labels of the target would give an interval as wide.
    """

    accuracy: Share
    low: Share
    high: Share
    how: str
    labels: NotRequired[int]


@final
class NoEstimate(TypedDict):
    """Why the accuracy on the target is ``unknown``, and how many random ``labels`` settle it to ± 10 points."""

    unknown: str
    labels: int


class PhaseScores(TypedDict):
    """The scores of one phase's models, over all seeds."""

    source_val: Scored | None
    target_estimate: AccuracyEstimate | NoEstimate | None
    target: NotRequired[Scored]
    target_tta: NotRequired[Scored]


class Change(TypedDict):
    """What adaptation changes on the labelled target: adapted minus source-only, with a 95 % interval."""

    measure: Literal["accuracy", "mae"]
    difference: float
    low: float
    high: float
    n: int
    seeds: int


class EnsembleScores(TypedDict, total=False):
    """The scores of one model that predicts the mean over seeds."""

    target: Scored
    target_tta: Scored


class Scores(PhaseScores):
    """``scores.json``: the scores of the phase that is kept, beside those of each phase and of the ensemble."""

    kept: Phase
    why: str
    source_only: PhaseScores
    adapted: NotRequired[PhaseScores]
    ensemble: NotRequired[EnsembleScores]
    change: NotRequired[Change]
    seeds: list[int]
    positive: NotRequired[list[str]]
    tta: NotRequired[list[str]]


class BothPhases(Scored):
    """Scores of the chosen model, and beside them those of each phase."""

    source_only: Scored
    adapted: NotRequired[Scored]


class WithViews(BothPhases):
    """Scores of the mean over views."""

    views: list[str]


class Evaluation(BothPhases):
    """The scores of a Run on labelled examples."""

    model: Predictor
    kept: Phase
    seeds: list[int]
    recall: NotRequired[dict[str, float | None]]
    confusion: NotRequired[list[list[int]]]
    tta: NotRequired[WithViews]


@final
class AuditedAccuracy(TypedDict):
    """What an audit shows of one model's classes: the accuracy with its 95 % interval, and how it was found."""

    accuracy: Share
    low: Share
    high: Share
    how: Literal["wilson", "prediction_powered"]


@final
class AuditedError(TypedDict):
    """What an audit shows of one model's numbers, with 95 % intervals; R² is None if all labels are the same."""

    mae: Annotated[float, Field(ge=0)]
    low: float
    high: float
    r2: float | None
    r2_low: float | None
    r2_high: float | None


class Audited(TypedDict):
    """``audit.json``: what labels of the target that are used for nothing else show of each phase's models.

    ``name``, ``n`` and ``digest`` are of the labelled examples, ``model``, ``phase`` and ``seeds`` of what predicts.
    """

    name: str
    n: Annotated[int, Field(ge=1)]
    digest: str
    model: Predictor
    phase: Phase
    seeds: Annotated[list[int], Field(min_length=1)]
    source_only: AuditedAccuracy | AuditedError
    adapted: NotRequired[AuditedAccuracy | AuditedError]
    change: NotRequired[Change]


class Environment(TypedDict):
    """``environment.json``: versions, devices, times, the format; Runs of earlier versions have less."""

    format: int
    python: NotRequired[str]
    platform: NotRequired[str]
    device: NotRequired[str]
    threads: NotRequired[int]
    versions: NotRequired[dict[str, str]]
    started: NotRequired[str]
    seconds: NotRequired[float]
    command: NotRequired[str]


MovedKind = Literal["mean", "value", "missing", "word"]
"""What is compared: the mean of a column, the share of a value, of missing entries, of texts with a word."""


class Moved(TypedDict):
    """A column or a word that differs between the domains.

    ``value`` is the value whose share is compared, else empty; ``effect`` is the standardised difference.
    """

    kind: MovedKind
    name: str
    value: str
    source: float
    target: float
    effect: float


class DataSummary(TypedDict):
    """``data.json``: the number of examples of each set, and what differs most between source and target.

    The keys of ``sizes`` are ``source_train``, ``source_val``, ``target``, ``target_labels`` and ``scored``.
    """

    sizes: dict[str, int]
    moved: list[Moved]


class BudgetSize(TypedDict):
    """A number of labels to draw."""

    name: str
    labels: int
    per_class: float


class Point(ClassScores):
    """The scores of one strategy with one draw of labels."""

    strategy: str
    budget: str
    labels: int
    per_class: float
    seed: int
    seconds: float
    tta: NotRequired[ClassScores]


class CurvePoint(Scored):
    """The scores of one strategy at one budget, over all seeds."""

    budget: str
    labels: int
    per_class: float
    seeds: int
    tta: NotRequired[Scored]


class ScoredDomain(TypedDict):
    """The examples that label curves are scored on."""

    path: str
    n: int


class StrategySteps(TypedDict):
    """The number of steps among a strategy's training settings."""

    steps: int


class StrategyRecipe(TypedDict):
    """What is read from a strategy's recipe, which has more keys."""

    backbone: str
    finetune: str
    tried: NotRequired[dict[str, float]]
    train: StrategySteps


class CurveSettings(TypedDict):
    """What must be the same to continue label curves."""

    source: str
    sources: NotRequired[dict[str, int]]
    target: str
    classes: list[str]
    scored: ScoredDomain
    positive: list[str]
    tta: list[str]
    drawn_from: int
    seeds: list[int]
    budgets: list[BudgetSize]
    digests: dict[str, str]
    strategies: dict[str, StrategyRecipe]


class CurveScores(CurveSettings):
    """``labels.json``."""

    seconds: float
    curves: dict[str, list[CurvePoint]]
    points: list[Point]


class CellFacts(TypedDict):
    """``cell.json`` of a comparison's cell: what its recipe and its outputs do not tell."""

    setting: str
    seconds: float


class FailedCell(TypedDict):
    """Why a cell of a comparison has no model."""

    setting: str
    seed: int
    reason: str


class ComparedSetting(TypedDict):
    """What a comparison found of one method with one setting.

    ``settings`` is what differs from the method's defaults. ``rank`` is the mean over seeds of the combined rank, in
    which a rejected model counts as 0; it is None if a seed has failed. ``rejected`` and ``failed`` give reasons by
    seed, ``scores`` the mean over seeds of each validator that had a say. ``source`` is the one of several sources that
    it was trained on alone.
    """

    name: str
    method: str
    settings: dict[str, float]
    rank: float | None
    rejected: dict[str, str]
    failed: dict[str, str]
    scores: dict[str, float]
    left_out: list[str]
    source_val: float | None
    seconds: float | None
    source: NotRequired[str]
    target: NotRequired[Scored]
    change: NotRequired[Change]


class ComparedEnsemble(TypedDict):
    """What a comparison found of an ensemble; ``members`` has the coefficient of each setting by seed."""

    name: str
    members: dict[str, dict[str, float]]
    target: NotRequired[Scored]
    change: NotRequired[Change]


class SettingRecipe(TypedDict):
    """What is read from a compared setting's recipe, which has more keys."""

    method: str
    backbone: str
    finetune: str
    tried: NotRequired[dict[str, float]]


class CompareSettings(TypedDict):
    """What must be the same to continue a comparison; ``sources`` has the size of each of several sources."""

    source: str
    sources: NotRequired[dict[str, int]]
    target: str
    score: ScoredDomain | None
    classes: list[str]
    seeds: list[int]
    positive: list[str]
    tta: list[str]
    digests: dict[str, str]
    left_out: dict[str, str]
    recipes: dict[str, SettingRecipe]


class Agreement(TypedDict):
    """How far a validator agrees with the accuracy on the labelled target over all settings: Spearman's correlation."""

    validator: str
    correlation: float
    settings: int


class Comparison(CompareSettings):
    """``compare.json``: the best setting comes first; ``choice`` and ``reference`` are names of settings.

    ``caution`` is what the guard says for source-only against the choice; it may be empty.
    """

    choice: str
    reference: str
    reason: str
    caution: str
    seconds: float
    ranking: list[ComparedSetting]
    ensembles: list[ComparedEnsemble]
    agreement: list[Agreement]
