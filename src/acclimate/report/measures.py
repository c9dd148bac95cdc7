"""The table of scores: every measure on the target, for each model, with and without test-time augmentation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from acclimate.report.plots import NAMES
from acclimate.runs.finding import amount

OF_CLASSES = {"accuracy": "Accuracy", "f1": "F1, mean over classes", "log_loss": "Log loss", "auc": "AUC"}
OF_NUMBERS = {"mae": "Mean absolute error", "rmse": "RMSE", "r2": "R²"}


Scores: TypeAlias = Mapping[str, Any]
"""What ``scores.json`` contains."""


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
    before, views = scores["source_only"], " with views"
    shown = {
        f"{NAMES[phase]}{views if part == 'target_tta' else ''}": (before if phase == "source_only" else scores)[part]
        for part in ("target", "target_tta")
        for phase in phases
        if part in scores
    }
    names = OF_NUMBERS if "mae" in scores["target"] else OF_CLASSES
    rows = [
        (measure_name(name, scores), [format_mean(name, part) for part in shown.values()])
        for name in names
        if name in scores["target"]
    ]
    return Measures(list(shown), rows)


def measure_name(name: str, scores: Scores) -> str:
    """Return the display name of a measure; that of the AUC names its positive classes."""
    if name != "auc":
        return {**OF_CLASSES, **OF_NUMBERS}[name]
    return f"AUC, {', '.join(scores.get('positive') or ['each class'])} against the rest"


def format_mean(name: str, part: Scores) -> str:
    """Return a mean, with its standard deviation if there is one."""
    if part[name] is None:
        return "–"
    spread = part.get(f"{name}_sd")
    return _format(name, part[name]) + ("" if spread is None else f" ± {_format(name, spread)}")


def _format(name: str, value: float) -> str:
    if name == "accuracy":
        return f"{100 * value:.1f} %"
    text = amount(value) if name in {"mae", "rmse"} else f"{value:.3f}"
    return text.replace("-", "−")
