"""What a Run found, in one sentence."""

from collections.abc import Callable
from typing import Any

from acclimate.run_folder import RunFolder

UNKNOWN = "without labels of the target nothing honest can be said of its error: give some with --score"
"""What stands in the place of an estimate where numbers are predicted."""


def finding(run: RunFolder) -> str:
    """The result as a person would say it, the baseline beside it."""
    scores, recipe = run.scores, run.recipe
    seeds = len(scores["seeds"])
    over = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    not_kept = f" It is not kept: {scores['why']}." if scores["why"] else ""
    before = scores["source_only"]
    method = recipe.method + (f" after {recipe.pretrain.method}" if recipe.pretrain else "")
    if given := recipe.target_labels:
        method += f" with {given.n:,} labelled example{'s' * (given.n > 1)} of the target"
    if "target" not in scores:
        return (
            f"Trained on {recipe.source.path} with {_told(before['source_val'])} on held-out source; how well "
            f"{method} works on {recipe.target.path} was not scored: no labels given ({over}).{not_kept}"
        )
    if recipe.phases == ("source_only",):
        return f"On {recipe.target.path} {_alone(scores['target'])} without adaptation ({over})."
    return f"{method} {_change(recipe.target.path, before['target'], scores['target'])} ({over}).{not_kept}"


def amount(number: float) -> str:
    """A number in the unit of the labels, to four significant digits.

    Example:
        >>> amount(123456.0), amount(0.0123)
        ('123,500', '0.0123')
    """
    return f"{float(f'{number:.4g}'):,g}"


def _told(part: dict[str, Any]) -> str:
    return f"an R² of {part['r2']:.3f}" if "r2" in part else f"{part['accuracy']:.1%}"


def _alone(part: dict[str, Any]) -> str:
    if "mae" in part:
        return f"the mean absolute error is {amount(part['mae'])} (RMSE {amount(part['rmse'])}, R² {part['r2']:.3f})"
    return f"{part['accuracy']:.1%} are right"


def _change(where: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """What the method does there, e.g. ``raises accuracy on … from … to …``."""
    if "mae" not in after:
        return _moves(f"accuracy on {where}", before["accuracy"], after["accuracy"], "{:.1%}".format)
    change = _moves(f"the mean absolute error on {where}", before["mae"], after["mae"], amount)
    return f"{change} (RMSE {amount(before['rmse'])} to {amount(after['rmse'])})"


def _moves(what: str, before: float, after: float, told: Callable[[float], str]) -> str:
    """Whether it rises or falls; what looks the same when told is left as it is."""
    was, now = told(before), told(after)
    if was == now:
        return f"leaves {what} at {now}"
    return f"{'raises' if after > before else 'lowers'} {what} from {was} to {now}"
