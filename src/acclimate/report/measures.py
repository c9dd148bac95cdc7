"""The table of scores: every measure on the target, for each model, with and without test-time augmentation."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from acclimate.contents import EnsembleScores, Measure, PhaseScores, Scored, ScoredPart, Scores
from acclimate.report.plots import NAMES
from acclimate.runs.finding import amount

OF_CLASSES: Mapping[Measure, str] = {
    "accuracy": "Accuracy",
    "f1": "F1, mean over classes",
    "log_loss": "Log loss",
    "auc": "AUC",
}
OF_NUMBERS: Mapping[Measure, str] = {"mae": "Mean absolute error", "rmse": "RMSE", "r2": "R²"}
PARTS: tuple[ScoredPart, ...] = ("target", "target_tta")


class Measures(NamedTuple):
    """A table: the name of each column, and for each row its name and a text per column."""

    columns: list[str]
    rows: list[tuple[str, list[str]]]


def measures(scores: Scores, phases: Sequence[str]) -> Measures | None:
    """Return the measures on the labelled target, mean ± standard deviation over seeds; None without one.

    Args:
        scores: The content of ``scores.json``.
        phases: The models to show, ``source_only`` first.
    """
    if "target" not in scores:
        return None
    models: dict[str, PhaseScores | EnsembleScores] = {
        NAMES[phase]: scores["adapted" if phase == "adapted" else "source_only"] for phase in phases
    }
    if "ensemble" in scores:
        models[f"ensemble of {len(scores['seeds'])} seeds"] = scores["ensemble"]
    shown = {
        f"{name}{' with views' if part == 'target_tta' else ''}": of_model[part]
        for part in PARTS
        for name, of_model in models.items()
        if part in of_model
    }
    names = OF_NUMBERS if "mae" in scores["target"] else OF_CLASSES
    rows = [
        (measure_name(name, scores.get("positive", ())), [format_mean(name, part) for part in shown.values()])
        for name in names
        if name in scores["target"]
    ]
    return Measures(list(shown), rows)


def measure_name(name: Measure, positive: Sequence[str]) -> str:
    """Return the display name of a measure; that of the AUC names its positive classes."""
    if name != "auc":
        return {**OF_CLASSES, **OF_NUMBERS}[name]
    return f"AUC, {', '.join(positive or ['each class'])} against the rest"


def format_mean(name: Measure, part: Scored) -> str:
    """Return a mean, with its standard deviation if there is one."""
    value, spread = part.get(name), part.get(f"{name}_sd")
    if not isinstance(value, int | float):
        return "–"
    return _format(name, value) + (f" ± {_format(name, spread)}" if isinstance(spread, int | float) else "")


def _format(name: Measure, value: float) -> str:
    if name == "accuracy":
        return f"{100 * value:.1f} %"
    text = amount(value) if name in {"mae", "rmse"} else f"{value:.3f}"
    return text.replace("-", "−")
