"""The finding of a Run in one sentence."""

from collections.abc import Callable

from acclimate.contents import Scored, Scores
from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder

UNKNOWN = "the error on the target cannot be estimated without labels: add some with --score"
"""Shown in place of an estimate for a regression."""


def finding(run: RunFolder) -> str:
    """Return the result in plain words, next to the source-only baseline."""
    scores, recipe = run.scores, run.recipe
    seeds = len(scores["seeds"])
    over = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    not_kept = f" The adapted model is not kept: {scores['why']}." if scores["why"] else ""
    before = scores["source_only"]
    method = recipe.method + (f" after {recipe.pretrain.method}" if recipe.pretrain else "")
    if labels := recipe.target_labels:
        method += f" with {labels.n:,} labelled example{'s' * (labels.n > 1)} of the target"
    if "target" not in scores:
        assert before["source_val"]
        return (
            f"The source-only model reaches {_source_score(before['source_val'])} on held-out examples of "
            f"{recipe.source.path}; {method} has no score on {recipe.target.path}, as no labels were given "
            f"({over}).{not_kept}"
        )
    if recipe.phases == ("source_only",):
        return f"On {scored_on(recipe)}, without adaptation, {_target_score(scores['target'])} ({over})."
    return f"{method} {_change(scored_on(recipe), before['target'], scores['adapted']['target'])} ({over}).{not_kept}"


def ensemble_finding(scores: Scores) -> str:
    """Return what predicts by default where there are several seeds, and its score if there is one; else nothing."""
    if len(scores["seeds"]) == 1:
        return ""
    found = scores.get("ensemble", {}).get("target")
    score = f": {_target_score(found)}" if found else ""
    kept = scores["kept"].replace("_", "-")
    return f"Predictions are the mean of the {len(scores['seeds'])} seeds' {kept} models (the ensemble){score}."


def scored_on(recipe: Recipe) -> str:
    """Return what the scores are of, with its size; of a Run of an earlier version only the target is known."""
    scored = recipe.score
    return f"{scored.path} ({scored.n:,} example{'s' * (scored.n > 1)})" if scored else recipe.target.path


def amount(number: float) -> str:
    """Format a number in the unit of the labels, to four significant digits.

    Example:
        >>> amount(123456.0), amount(0.0123)
        ('123,500', '0.0123')
    """
    return f"{float(f'{number:.4g}'):,g}"


def _source_score(part: Scored) -> str:
    return f"an R² of {part['r2']:.3f}" if "r2" in part else f"{part['accuracy']:.1%} accuracy"


def _target_score(part: Scored) -> str:
    if "mae" in part:
        return f"the mean absolute error is {amount(part['mae'])} (RMSE {amount(part['rmse'])}, R² {part['r2']:.3f})"
    return f"accuracy is {part['accuracy']:.1%}"


def _change(scored: str, before: Scored, after: Scored) -> str:
    """Say what the method does to the score on what is ``scored``, e.g. ``raises accuracy on … from … to …``."""
    if "mae" not in after:
        return _compared(f"accuracy on {scored}", before["accuracy"], after["accuracy"], "{:.1%}".format)
    change = _compared(f"the mean absolute error on {scored}", before["mae"], after["mae"], amount)
    return f"{change} (RMSE {amount(before['rmse'])} to {amount(after['rmse'])})"


def _compared(score: str, before: float, after: float, formatted: Callable[[float], str]) -> str:
    """Say whether a score rises or falls; two numbers that look the same when formatted count as equal."""
    old, new = formatted(before), formatted(after)
    if old == new:
        return f"leaves {score} at {new}"
    return f"{'raises' if after > before else 'lowers'} {score} from {old} to {new}"
