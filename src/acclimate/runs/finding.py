"""The finding of a Run in one sentence."""

import math
from typing import NamedTuple

from acclimate.contents import Change, Scored, Scores
from acclimate.metrics import wilson
from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder

UNKNOWN = "the error on the target cannot be estimated without labels: add some with --score"
"""Shown in place of an estimate for a regression."""
FEW = 200
"""Examples below which an accuracy carries its range."""


def finding(run: RunFolder) -> str:
    """Return the result in plain words, next to the source-only baseline."""
    scores, recipe = run.scores, run.recipe
    not_kept = f" The adapted model is not kept: {scores['why']}." if scores["why"] else ""
    before, method = scores["source_only"], _with_labels(recipe)
    if "target" not in scores:
        assert before["source_val"]
        sources = " and ".join(recipe.source_paths)
        return (
            f"The source-only model reaches {_source_score(before['source_val'])} held-out examples of {sources}; "
            f"{method} has no score on {recipe.target.path}, as no labels to score on were given "
            f"({_over(scores)}).{not_kept}"
        )
    if recipe.phases == ("source_only",):
        alone = _target_score(scores["target"], _over(scores))
        return f"On {scored_on(recipe)}, without adaptation, {alone}.{_below_mean(scores['target'])}"
    after = scores["adapted"]["target"]
    return f"{_change(method, scored_on(recipe), scores)}.{_below_mean(after)}{not_kept}"


class Headline(NamedTuple):
    """The result in a few words, and what belongs to it: what it was measured on, and how sure it is."""

    text: str
    details: str


def headline(scores: Scores, recipe: Recipe) -> Headline:
    """Return the finding as a short title and the details below it."""
    if "target" not in scores:
        held = scores["source_only"]["source_val"]
        reached = f"The source-only model reaches {_source_score(held)} held-out source examples. " if held else ""
        measure = "error" if recipe.task == "regression" else "accuracy"
        return Headline(f"The {measure} on the target is unknown", f"{reached}No labels of the target were given.")
    where = f"on {scored_on(recipe)}"
    if "adapted" not in scores:
        name, value = _measure(scores["target"])
        details = f"{_sentence(where)}; {', '.join(_measured(scores['target'], _over(scores)))}."
        return Headline(f"{_sentence(name)} is {value} without adaptation", details + _below_mean(scores["target"]))
    return _headline_of_change(_with_labels(recipe), where, scores)


def _headline_of_change(method: str, where: str, scores: Scores) -> Headline:
    before, after = scores["source_only"]["target"], scores["adapted"]["target"]
    (name, old), (_, new) = _measure(before), _measure(after)
    moves = f"{name} stays at {new}" if old == new else f"{name} goes from {old} to {new}"
    below, over = _below_mean(after), ", ".join(_measured(after, _over(scores)))
    if (change := change_words(scores)) is None:
        return Headline(f"With {method}, {moves}", f"{_sentence(where)}; {over}.{below}")
    details = f"{change.difference} {where} (95% interval {change.interval.removesuffix(' points')}; {over}).{below}"
    if not change.clear or old == new:
        return Headline(f"No clear change: with {method}, {moves}", details)
    verb = "lowers" if change.better == ("mae" in after) else "raises"
    return Headline(f"{method} {verb} {name} from {old} to {new}", details)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _measure(part: Scored) -> tuple[str, str]:
    """The name and the value of the main score."""
    if "mae" in part:
        return "the mean absolute error", amount(part["mae"])
    return "accuracy", f"{part['accuracy']:.1%}"


def _measured(part: Scored, over: str) -> list[str]:
    """How much a score rests on."""
    rmse = [f"RMSE {amount(part['rmse'])}", f"R² {_r2(part)}"] if "rmse" in part else []
    return [*rmse, *([f"n = {part['n']:,}"] if "n" in part else []), over]


def _with_labels(recipe: Recipe) -> str:
    """The method, with what it starts from and learns from beside the domains."""
    method = recipe.method_name + (f" after {recipe.pretrain.method}" if recipe.pretrain else "")
    if labels := recipe.target_labels:
        method += f" with {labels.n:,} labelled example{'s' * (labels.n > 1)} of the target"
    return method


def ensemble_finding(scores: Scores) -> str:
    """Return what predicts by default where there are several seeds, and its score if there is one; else nothing."""
    if len(scores["seeds"]) == 1:
        return ""
    found = scores.get("ensemble", {}).get("target")
    score = f"; on the target, {_target_score(found)}" if found else ""
    kept = scores["kept"].replace("_", "-")
    return f"The ensemble predicts: the mean of the {len(scores['seeds'])} seeds' {kept} models{score}."


def scored_on(recipe: Recipe) -> str:
    """Return what the scores are of; of a Run of an earlier version only the target is known."""
    return (recipe.score or recipe.target).path


def amount(number: float) -> str:
    """Format a number in the unit of the labels, to four significant digits.

    Example:
        >>> amount(123456.0), amount(0.0123)
        ('123,500', '0.0123')
    """
    return f"{float(f'{number:.4g}'):,g}"


class ChangeWords(NamedTuple):
    """What adaptation changes on the labelled target, in words.

    Attributes:
        difference: Adapted minus source-only, with its unit.
        interval: Its 95 % interval.
        clear: Whether the interval excludes 0.
        better: Whether the adapted model is the better one.
    """

    difference: str
    interval: str
    clear: bool
    better: bool


def change_words(scores: Scores) -> ChangeWords | None:
    """Return what adaptation changes, if the Run knows the interval."""
    if (change := scores.get("change")) is None:
        return None
    return words_for(change, 0.0 if change["measure"] == "accuracy" else scores["source_only"]["target"]["mae"])


def words_for(change: Change, before: float) -> ChangeWords:
    """Return a change in words; that of an error relative to the error ``before``."""
    difference, low, high = change["difference"], change["low"], change["high"]
    clear = low > 0 or high < 0
    if change["measure"] == "accuracy":
        by, least, most = (_points(share) for share in (difference, low, high))
        return ChangeWords(f"{by} points", f"{least} to {most} points", clear, difference > 0)
    by, least, most = (_more(number, before) for number in (difference, low, high))
    return ChangeWords(by, f"{least} to {most}", clear, difference < 0)


def accuracy_range(part: Scored) -> str:
    """Return the range of an accuracy of few examples; else nothing.

    Example:
        >>> accuracy_range({"accuracy": 0.93, "n": 14}), accuracy_range({"accuracy": 0.93, "n": 1400})
        ('69–99%', '')
    """
    if (n := part.get("n", FEW)) >= FEW:
        return ""
    low, high = wilson(part["accuracy"], n)
    return f"{100 * low:.0f}–{100 * high:.0f}%"


def _points(share: float) -> str:
    """Format a difference of two shares in percentage points.

    Example:
        >>> _points(0.39), _points(-0.011), _points(-0.0001)
        ('+39.0', '−1.1', '0.0')
    """
    return _signed(round(100 * share, 1), ".1f")


def _more(number: float, like: float) -> str:
    """Format a difference of two amounts, as finely as `amount` formats one of them.

    Example:
        >>> _more(1230.4, 9876.5), _more(-0.00051, 4.912), _more(-0.0001, 4.912)
        ('+1,230', '−0.001', '0.000')
    """
    digits = 3 - math.floor(math.log10(like)) if like else 3
    return _signed(round(number, digits), f",.{max(digits, 0)}f")


def _signed(number: float, form: str) -> str:
    return f"{'+' if number > 0 else '−' if number < 0 else ''}{format(abs(number), form)}"


def _source_score(part: Scored) -> str:
    """Say how good the source-only model is on the source, and on how many examples."""
    on = f"on {part['n']:,}" if "n" in part else "on"
    if "r2" in part:
        return f"an R² of {_r2(part)} {on}"
    span = accuracy_range(part)
    return f"{part['accuracy']:.1%}{f' ({span})' if span else ''} accuracy {on}"


def _target_score(part: Scored, *more: str) -> str:
    """Say how good one model is on the target, with its range if examples are few, their number, and ``more``."""
    number = [f"n = {part['n']:,}"] if "n" in part else []
    measured = ", ".join([*number, *more])
    if "mae" in part:
        details = f"RMSE {amount(part['rmse'])}, R² {_r2(part)}; {measured}"
        return f"the mean absolute error is {amount(part['mae'])} ({details})"
    span = accuracy_range(part)
    return f"accuracy is {part['accuracy']:.1%} ({f'95% interval {span}; ' if span else ''}{measured})"


def _r2(part: Scored) -> str:
    return f"{part['r2']:.3f}".replace("-", "−")


def _below_mean(part: Scored) -> str:
    """Say so if predicting one number for all would be better."""
    return f" Worse than always predicting the mean (R² {_r2(part)})." if part.get("r2", 0) < 0 else ""


def _n(part: Scored) -> str:
    """The number of examples, where it is known."""
    return f"n = {part['n']:,}, " if "n" in part else ""


def _over(scores: Scores) -> str:
    seeds = len(scores["seeds"])
    return f"mean of {seeds} seeds" if seeds > 1 else "one seed"


def _change(method: str, target: str, scores: Scores) -> str:
    """Say what the method does to the score on ``target``, no more surely than its interval allows."""
    before, after = scores["source_only"]["target"], scores["adapted"]["target"]
    if "mae" in after:
        score, old, new = f"the mean absolute error on {target}", amount(before["mae"]), amount(after["mae"])
        measured = f"RMSE {amount(before['rmse'])} to {amount(after['rmse'])}; {_n(after)}{_over(scores)}"
    else:
        score, old, new = f"accuracy on {target}", f"{before['accuracy']:.1%}", f"{after['accuracy']:.1%}"
        measured = f"{_n(after)}{_over(scores)}"
    moves = f"stays at {new}" if old == new else f"goes from {old} to {new}"
    if (change := change_words(scores)) is None:
        return f"With {method}, {score} {moves} ({measured})"
    if not change.clear or old == new:
        return f"No clear change: with {method}, {score} {moves} (95% interval {change.interval}; {measured})"
    verb = "lowers" if change.better == ("mae" in after) else "raises"
    by, interval = change.difference, change.interval.removesuffix(" points")
    return f"{method} {verb} {score} from {old} to {new} ({by}, 95% interval {interval}; {measured})"
