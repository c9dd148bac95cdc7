"""The page, the table and the sentence that tell how accuracy grows with the labels of the target."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from acclimate.report.measures import OF_CLASSES, called, told

Found = Mapping[str, Any]
"""What ``labels.json`` holds."""

NEAR = 0.01
"""What counts as nearly as good as the best: a point of accuracy."""
DASHES, SYMBOLS = ("solid", "dot", "dash"), ("circle", "diamond", "square", "triangle-up", "x")
"""By which curves are told apart beside their colours."""
APART = 0.012
"""How far, in decades, marks of the same budget stand apart, so that none hides another's spread."""


class Best(NamedTuple):
    """The strategy with the highest mean accuracy at one budget."""

    per_class: float
    strategy: str
    accuracy: float


def bests(found: Found) -> list[Best]:
    """The best strategy at each budget that anything is known of, the smallest first."""
    found_at: dict[float, Best] = {}
    for name, curve in found["curves"].items():
        for at in curve:
            best = Best(at["per_class"], name, at["accuracy"])
            if best.per_class not in found_at or best.accuracy > found_at[best.per_class].accuracy:
                found_at[best.per_class] = best
    return [found_at[per_class] for per_class in sorted(found_at)]


def finding(found: Found) -> str:
    """How many labels are worth their price, in a sentence or two."""
    of_budgets = bests(found)
    top = max(of_budgets, key=lambda best: best.accuracy)
    enough = next(best for best in of_budgets if best.accuracy >= top.accuracy - NEAR)
    first = of_budgets[0]
    seeds = len(found["seeds"])
    over = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    said = f"With {_labels(top.per_class)} {top.strategy} is right on {top.accuracy:.1%} ({over}), the highest found."
    if enough != top:
        verb = "comes" if enough.per_class == 1 else "come"
        said += f" {_labels(enough.per_class).capitalize()} {verb} within a point of that ({enough.strategy}, "
        said += f"{enough.accuracy:.1%})."
    if not first.per_class and first not in (top, enough):
        said += f" Without any, {first.strategy} is right on {first.accuracy:.1%}."
    return said


def _labels(per_class: float) -> str:
    if not per_class:
        return "no labels"
    return f"{number(per_class)} label{'s' * (per_class != 1)} per class"


def number(value: float) -> str:
    """A number of labels per class, to three digits where it is a mean.

    Example:
        >>> number(5.0), number(12.3456), number(1234.0)
        ('5', '12.3', '1,234')
    """
    return f"{value:,.0f}" if value == round(value) else f"{float(f'{value:.3g}'):,g}"


class Numbers(NamedTuple):
    """A measure, by its name, and a row for each strategy: its name and a text for each budget."""

    measure: str
    rows: list[tuple[str, list[str]]]


def numbers(found: Found) -> list[Numbers]:
    """Mean ± standard deviation of every measure that was taken, accuracy in percent and first."""
    return [of for name in OF_CLASSES for of in _numbers(found, name)]


def _numbers(found: Found, name: str) -> list[Numbers]:
    """Of one measure, without views and with, as far as it was taken."""
    some = next(iter(found["curves"].values()))[0]
    words = called(name, OF_CLASSES[name], found)
    return [
        Numbers(words + views, _rows(found, name, part))
        for part, views in ((None, ""), ("tta", f", with views {', '.join(found.get('tta', ()))}"))
        if name in (some if part is None else some.get(part, {}))
    ]


def _rows(found: Found, measure: str, part: str | None) -> list[tuple[str, list[str]]]:
    rows = []
    for name, curve in found["curves"].items():
        of_budget = {at["budget"]: at if part is None else at[part] for at in curve}
        rows.append((name, [_cell(measure, of_budget.get(budget["name"])) for budget in found["budgets"]]))
    return rows


def _cell(measure: str, at: Mapping[str, Any] | None) -> str:
    return "–" if at is None else told(measure, at).replace(" %", "")


def table(found: Found) -> str:
    """Accuracy for a terminal, and with views where there are some."""
    head = ["labels per class", *(number(budget["per_class"]) for budget in found["budgets"])]
    plain, *others = ([[name, *texts] for name, texts in measure.rows] for measure in _numbers(found, "accuracy"))
    rows = [head, *plain, *([f"{name}, views", *texts] for other in others for name, *texts in other)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def render_labels(found: Found) -> str:
    """The page, in need of nothing outside itself."""
    from acclimate.report.page import fill, short_path  # plotly takes a second to import

    names = list(found["curves"])
    here, there = short_path(found["source"]), short_path(found["target"])
    return fill(
        "labels.html.j2",
        {
            "title": f"labels: {here} to {there}",
            "finding": finding(found),
            "found": found,
            "here": here,
            "there": there,
            "names": names,
            "dashes": [DASHES[i % len(DASHES)] for i in range(len(names))],
            "heads": [(number(b["per_class"]), f"{b['labels']:,}") for b in found["budgets"]],
            "numbers": numbers(found),
            "facts": _facts(found, here, there),
            "page": {"figures": {"curves": curves(found)}, "points": []},
        },
    )


def _facts(found: Found, here: str, there: str) -> dict[str, str]:
    recipe = next(iter(found["strategies"].values()))
    train = recipe["train"]
    facts = {
        "Source": here,
        "Target": there,
        "Scored on": f"{found['scored']['n']:,} examples",
        "Labels drawn from": f"{found['drawn_from']:,} examples",
        "Backbone": recipe["backbone"],
        "Trainings": f"{len(found['points']):,} of {train['steps']:,} steps",
        "Seeds": ", ".join(map(str, found["seeds"])),
        "Time": f"{found['seconds'] / 60:.1f} min",
    }
    return {name: value for name, value in facts.items() if value}


def curves(found: Found) -> dict[str, Any]:
    """Accuracy over labels per class, of which no labels stand at the left of a logarithmic axis."""
    from acclimate.report.plots import HUES, figure, plain

    at = places([budget["per_class"] for budget in found["budgets"]])
    n, data = len(found["curves"]), []
    for i, (name, curve) in enumerate(found["curves"].items()):
        colour, aside = f"<hue-{i % HUES}>", APART * (i - (n - 1) / 2)
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [round(at[point["per_class"]] + aside, 4) for point in curve],
                "y": [point["accuracy"] for point in curve],
                "error_y": {
                    "array": [point.get("accuracy_sd") or 0 for point in curve],
                    "color": colour,
                    "thickness": 1.3,
                    "width": 3,
                },
                "text": [_labels(point["per_class"]) for point in curve],
                "line": {"color": colour, "width": 2.2, "dash": DASHES[i % len(DASHES)]},
                "marker": {"color": colour, "size": 8, "symbol": SYMBOLS[i % len(SYMBOLS)]},
                "hovertemplate": f"{plain(name, 60)}<br>%{{text}}: %{{y:.1%}}<extra></extra>",
            }
        )
    return figure({"all": (data, _axes(found, at))})


def places(per_class: Sequence[float]) -> dict[float, float]:
    """Where on the axis so many labels stand: at their logarithm, and none at all one usual gap before the fewest.

    Example:
        >>> places([0.0, 1.0, 10.0, 100.0])
        {1.0: 0.0, 10.0: 1.0, 100.0: 2.0, 0.0: -1.0}
    """
    some = sorted({value for value in per_class if value})
    at = {value: float(np.log10(value)) for value in some}
    gaps = [after - before for before, after in pairwise(at.values())]
    if len(some) < len(set(per_class)):
        at[0.0] = min(at.values(), default=0.0) - (float(np.median(gaps)) if gaps else 1.0)
    return at


def _axes(found: Found, at: Mapping[float, float]) -> dict[str, Any]:
    axis = {"gridcolor": "<faint>", "automargin": True, "zeroline": False}
    ticks = {"tickvals": [round(x, 4) for x in at.values()], "ticktext": [number(value) for value in at]}
    return {
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "hovermode": "closest",
        "xaxis": {**axis, **ticks, "title": {"text": "labels per class", "standoff": 6}},
        "yaxis": {**axis, "tickformat": ".0%", "nticks": 7, "title": {"text": "accuracy", "standoff": 6}},
    }
