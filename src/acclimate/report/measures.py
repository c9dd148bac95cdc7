"""The table of scores: each measure on the target, of every model, with views and without."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from acclimate.report.plots import NAMES
from acclimate.runs.finding import amount

OF_CLASSES = {"accuracy": "Accuracy", "f1": "F1, mean over classes", "log_loss": "Log loss", "auc": "AUC"}
OF_NUMBERS = {"mae": "Mean absolute error", "rmse": "RMSE", "r2": "R²"}


class Measures(NamedTuple):
    """A table: a name for each column, and of each row its name and a text for each column."""

    columns: list[str]
    rows: list[tuple[str, list[str]]]


def measures(scores: Mapping[str, Any], phases: Sequence[str]) -> Measures | None:
    """The measures of ``scores.json`` on the labelled target, mean ± standard deviation over seeds; none if unscored.

    Args:
        scores: What ``scores.json`` holds.
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
        (called(name, words, scores), [told(name, part) for part in shown.values()])
        for name, words in names.items()
        if name in scores["target"]
    ]
    return Measures(list(shown), rows)


def called(name: str, words: str, scores: Mapping[str, Any]) -> str:
    """What a measure is called, the area under the curve by what it is of."""
    if name != "auc":
        return words
    return f"AUC, {', '.join(scores.get('positive') or ['each class'])} against the rest"


def told(name: str, part: Mapping[str, Any]) -> str:
    """A mean and, if it is known, its spread."""
    if part[name] is None:
        return "–"
    spread = part.get(f"{name}_sd")
    return _written(name, part[name]) + ("" if spread is None else f" ± {_written(name, spread)}")


def _written(name: str, value: float) -> str:
    if name == "accuracy":
        return f"{100 * value:.1f} %"
    text = amount(value) if name in {"mae", "rmse"} else f"{value:.3f}"
    return text.replace("-", "−")
