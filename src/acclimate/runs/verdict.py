"""What a Run means in practice, and what to do next: rules that read the scores and the recipe alone."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from acclimate.contents import Audited, Change, Scored, Scores
from acclimate.recipe import LINEAR, Recipe
from acclimate.runs.audited import audited_change
from acclimate.runs.finding import change_words

LABELS = 100
"""Labelled examples that we suggest to begin with: an accuracy near 80 % is then known to within 8 points."""
SMALL = 0.02
"""A change of accuracy, or share of the error, that is worth finding."""
MOST_LABELS = 5000
"""Most labelled examples that we suggest."""
GAP = 0.1
"""Accuracy or R² below the source's from which labelled examples of the target are suggested."""
CLOSE = 0.02
"""Accuracy or R² that the source-only model may lose on the target before adaptation has much to win."""
FEW_TO_LEARN = 50
"""Examples of the target below which its distribution is hardly known."""
AUDIT = f"acclimate audit RUN TARGET --ask {LABELS} -o to_label.csv"
PREDICT = "acclimate predict RUN INPUT -o predictions.csv"
ALTERNATIVES: Mapping[str, tuple[str, ...]] = {
    "classification": ("mcc", "dann"),
    "regression": ("dann", "deep_coral"),
    LINEAR: ("coral", "importance_weighting"),
    "without source": ("shot", "nrc"),
}
"""Methods to try next, by what the Run can use."""


class Step(NamedTuple):
    """A next step, with the command for it if there is one."""

    text: str
    command: str = ""


class Verdict(NamedTuple):
    """What a Run means, in a sentence, and the next steps, the most useful first."""

    text: str
    steps: list[Step]


def verdict(scores: Scores, recipe: Recipe, sizes: Mapping[str, int], audited: Audited | None = None) -> Verdict:
    """Return what the scores mean and what to do next.

    Args:
        scores: Of the Run.
        recipe: Of the Run.
        sizes: Of its sets, as in ``data.json``; may be empty.
        audited: What an audit has shown, which counts where nothing else is known of the target.
    """
    if "target" not in scores and audited:
        found = Verdict(*_audited(scores, recipe, audited))
    elif "target" not in scores:
        found = Verdict(*_unscored(scores))
    elif "adapted" not in scores:
        found = Verdict(*_baseline(scores, recipe))
    else:
        found = Verdict(*_compared(scores, recipe))
    return found._replace(steps=[*found.steps, *_doubts(scores, recipe, sizes)])


def _unscored(scores: Scores) -> tuple[str, list[Step]]:
    text = f"Nothing shows yet how well the {_kept(scores)} model works on the target."
    label = Step(
        f"Label about {LABELS} examples of the target, drawn at random, and audit both models, without training again.",
        AUDIT,
    )
    return text, [label, Step("Until then, check some predictions by eye.", PREDICT)]


def _audited(scores: Scores, recipe: Recipe, audited: Audited) -> tuple[str, list[Step]]:
    """With labels for reporting alone: does adaptation help on them?"""
    if "adapted" not in scores:
        return "Nothing was adapted.", [_try_another(recipe, "Adapt to the target")]
    if (change := audited_change(audited)) is None or not change.clear:
        label = Step("Label more examples of the target, drawn at random, and audit again.", AUDIT)
        return "The labels of the audit do not show whether adaptation helps.", [label]
    if not change.better:
        return _worsened(scores, recipe)
    better = Step("Predict with the adapted model.", PREDICT + " --model adapted" * (scores["kept"] != "adapted"))
    return "Adaptation helps on the labels of the audit.", [better]


def _baseline(scores: Scores, recipe: Recipe) -> tuple[str, list[Step]]:
    """Without an adapted model: is there anything to win?"""
    lost = _lost(scores, scores["source_only"].get("target"))
    if lost is not None and lost < CLOSE:
        return "The source-only model loses next to nothing on the target.", [Step("Predict with it.", PREDICT)]
    text = "The source-only model does worse on the target than on the source." if lost else "Nothing was adapted."
    return text, [_try_another(recipe, "Adapt to the target")]


def _compared(scores: Scores, recipe: Recipe) -> tuple[str, list[Step]]:
    words, change = change_words(scores), scores.get("change")
    if words is None or change is None:
        return "How sure the change is, is unknown: too few examples, or a Run of an earlier version.", [_more(scores)]
    if not words.clear:
        return _unclear(scores, recipe, change)
    return _improved(scores, recipe) if words.better else _worsened(scores, recipe)


def _improved(scores: Scores, recipe: Recipe) -> tuple[str, list[Step]]:
    if scores["kept"] == "source_only":
        text = "Adaptation helps on the labelled examples, but shows signs of collapse, so it is not kept."
        step = Step("If the labelled examples are typical of the target, predict with the adapted model.",
                    f"{PREDICT} --model adapted")  # fmt: skip
        return text, [step, *_gap(scores, recipe)]
    return "Adaptation helps.", [Step(f"Predict with the {_kept(scores)} model.", PREDICT), *_gap(scores, recipe)]


def _worsened(scores: Scores, recipe: Recipe) -> tuple[str, list[Step]]:
    if scores["kept"] == "source_only":
        text, step = "Adaptation harms; the source-only model is kept.", Step("Predict with it.", PREDICT)
    else:
        text = "Adaptation harms: use the source-only model."
        step = Step("Predict without adaptation.", f"{PREDICT} --model source_only")
    return text, [step, _try_another(recipe, "Try another method")]


def _unclear(scores: Scores, recipe: Recipe, change: Change) -> tuple[str, list[Step]]:
    lost = _lost(scores, scores["source_only"].get("target"))
    if lost is not None and lost < CLOSE:
        text = "The source-only model loses next to nothing on the target, so adaptation has little to win."
        return text, [Step("Use the simpler source-only model.", f"{PREDICT} --model source_only")]
    needed = labels_needed(scores, change)
    more = [Step(f"Score on more examples: about {needed:,} would show a change as small as {_small(change)}.",
                 "acclimate evaluate RUN LABELLED")] if change["n"] < needed <= MOST_LABELS else []  # fmt: skip
    text = "The labelled examples do not show whether adaptation helps."
    return text, [*more, _try_another(recipe, "Try another method, or look at the losses below")]


def labels_needed(scores: Scores, change: Change) -> int:
    """Return about how many labelled examples would tell a small change from none, as the interval shrinks like 1/√n.

    Example:
        >>> labels_needed({}, {"measure": "accuracy", "difference": 0.01, "low": -0.03, "high": 0.05, "n": 250})
        1000
    """
    unit = 1.0 if change["measure"] == "accuracy" else scores["source_only"]["target"]["mae"] or 1.0
    half = (change["high"] - change["low"]) / 2 / unit
    needed = change["n"] * (half / SMALL) ** 2
    return math.ceil(float(f"{needed:.2g}")) if needed < 1e9 else 10**9


def _small(change: Change) -> str:
    return "2 points" if change["measure"] == "accuracy" else "2 % of the error"


def _gap(scores: Scores, recipe: Recipe) -> Iterator[Step]:
    """Suggest labels to train on where the adapted model stays well below what the source reaches."""
    lost = _lost(scores, scores["adapted"].get("target"))
    if lost is not None and lost > GAP and not recipe.target_labels and not recipe.origin:
        amount = f"{100 * lost:.0f} points" if "accuracy" in scores["target"] else f"{lost:.2f} of R²"
        yield Step(f"{amount} below the source's score remain; some labelled examples of the target to learn from may "
                   "close more of it.", "acclimate adapt SOURCE TARGET -o RUN2 --target-labels LABELLED")  # fmt: skip


def _lost(scores: Scores, on_target: Scored | None) -> float | None:
    """What a model scores less on the target than the source-only model on the source, in accuracy or R²."""
    on_source = scores["source_only"]["source_val"]
    measure = "accuracy" if on_source and "accuracy" in on_source else "r2"
    if not on_source or not on_target:
        return None
    before, after = on_source.get(measure), on_target.get(measure)
    return before - after if isinstance(before, float | int) and isinstance(after, float | int) else None


def _doubts(scores: Scores, recipe: Recipe, sizes: Mapping[str, int]) -> Iterator[Step]:
    """Suggest what would make the result surer, whatever it is."""
    n = scores["target"].get("n", LABELS) if "target" in scores else LABELS
    if n < LABELS:
        yield Step(f"Score on more examples: with {n:,}, a few of them decide the result.")
    if (given := sizes.get("target", FEW_TO_LEARN)) < FEW_TO_LEARN:
        yield Step(f"Give more examples of the target, which need no labels: from {given} there is little to learn.")
    if "adapted" in scores and len(scores["seeds"]) == 1 and recipe.trains_a_network:
        yield Step("Train more seeds before you compare methods: another seed may differ by more than the interval.",
                   "acclimate adapt … --seeds 3")  # fmt: skip
    if "target" in scores and scores["target"].get("r2", 0) < 0:
        yield Step("Do not use these predictions: the mean of the labels would be closer.")


def _more(scores: Scores) -> Step:
    return Step(f"Score on at least {LABELS} labelled examples of the target.", "acclimate evaluate RUN LABELLED")


def _try_another(recipe: Recipe, text: str) -> Step:
    kind = "without source" if recipe.origin else recipe.task if recipe.trains_a_network else LINEAR
    other = next(name for name in ALTERNATIVES[kind] if name != recipe.method)
    return Step(f"{text}.", f"acclimate adapt … --method {other}")


def _kept(scores: Scores) -> str:
    return scores["kept"].replace("_", "-")
