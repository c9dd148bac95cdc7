"""How accuracy grows with the number of target labels: as a page, a table and a sentence."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from acclimate.contents import CurveScores, Json, Measure, Scored, ScoredDomain
from acclimate.report.measures import OF_CLASSES, format_mean, measure_name

if TYPE_CHECKING:
    from acclimate.report.plots import Figure, Layout, Trace

NEAR = 0.01
"""Difference in accuracy below which a result is about as good as the best: one point."""
DASHES, SYMBOLS = ("solid", "dot", "dash"), ("circle", "diamond", "square", "triangle-up", "x")
"""Line styles and markers of the curves, which differ not by colour alone."""
APART = 0.012
"""Distance, in decades, between the markers of one budget, so that none hides another's error bar."""


class Best(NamedTuple):
    """The strategy with the highest mean accuracy at one budget."""

    per_class: float
    strategy: str
    accuracy: float


def best_strategies(found: CurveScores) -> list[Best]:
    """Return the best strategy at each budget that has results, from the smallest budget."""
    best_at: dict[float, Best] = {}
    for name, curve in found["curves"].items():
        for at in curve:
            best = Best(at["per_class"], name, at["accuracy"])
            if best.per_class not in best_at or best.accuracy > best_at[best.per_class].accuracy:
                best_at[best.per_class] = best
    return [best_at[per_class] for per_class in sorted(best_at)]


def finding(found: CurveScores) -> str:
    """Return in a sentence or two how many labels are worth their cost."""
    of_budgets = best_strategies(found)
    top = max(of_budgets, key=lambda best: best.accuracy)
    enough = next(best for best in of_budgets if best.accuracy >= top.accuracy - NEAR)
    first = of_budgets[0]
    seeds = len(found["seeds"])
    over = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    text = f"With {_labels(top.per_class)}, {top.strategy} has the highest accuracy: {top.accuracy:.1%} ({over})."
    if enough != top:
        verb = "comes" if enough.per_class == 1 else "come"
        text += f" {_labels(enough.per_class).capitalize()} {verb} within one point of that ({enough.strategy}, "
        text += f"{enough.accuracy:.1%})."
    if not first.per_class and first not in (top, enough):
        text += f" Without labels, {first.strategy} has an accuracy of {first.accuracy:.1%}."
    return text


def _labels(per_class: float) -> str:
    if not per_class:
        return "no labels"
    return f"{number(per_class)} label{'s' * (per_class != 1)} per class"


def number(value: float) -> str:
    """Return a number of labels per class as text, with three digits if it is a mean.

    Example:
        >>> number(5.0), number(12.3456), number(1234.0)
        ('5', '12.3', '1,234')
    """
    return f"{value:,.0f}" if value == round(value) else f"{float(f'{value:.3g}'):,g}"


class MeasureTable(NamedTuple):
    """The name of a measure, and a row for each strategy: its name and a text for each budget."""

    measure: str
    rows: list[tuple[str, list[str]]]


def measure_tables(found: CurveScores) -> list[MeasureTable]:
    """Return a table of mean ± standard deviation for each measure; accuracy comes first and is in percent."""
    return [table for name in OF_CLASSES for table in _tables(found, name)]


def _tables(found: CurveScores, name: Measure) -> list[MeasureTable]:
    """Return the tables of one measure, without and with views, as far as there are results."""
    some = next(iter(found["curves"].values()))[0]
    title = measure_name(name, found.get("positive", ()))
    return [
        MeasureTable(title + heading, _rows(found, name, views=views))
        for views, heading in ((False, ""), (True, f", with views {', '.join(found.get('tta', ()))}"))
        if name in (some.get("tta", {}) if views else some)
    ]


def _rows(found: CurveScores, measure: Measure, *, views: bool) -> list[tuple[str, list[str]]]:
    rows = []
    for name, curve in found["curves"].items():
        of_budget: dict[str, Scored] = {at["budget"]: at["tta"] if views else at for at in curve}
        rows.append((name, [_cell(measure, of_budget.get(budget["name"])) for budget in found["budgets"]]))
    return rows


def _cell(measure: Measure, at: Scored | None) -> str:
    return "–" if at is None else format_mean(measure, at).replace(" %", "")


def table(found: CurveScores) -> str:
    """Return the accuracies, also with views if there are any, as a table for the terminal."""
    head = ["labels per class", *(number(budget["per_class"]) for budget in found["budgets"])]
    plain, *others = ([[name, *texts] for name, texts in measure.rows] for measure in _tables(found, "accuracy"))
    rows = [head, *plain, *([f"{name}, views", *texts] for other in others for name, *texts in other)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(text.rjust(w) for text, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def render_labels(found: CurveScores) -> str:
    """Return one HTML page that loads nothing else."""
    from acclimate.report.page import render_template, short_path, short_paths  # plotly takes a second to import

    names = list(found["curves"])
    source = short_paths([*found.get("sources", {})] or [found["source"]])
    target = short_path(found["target"])
    return render_template(
        "labels.html.j2",
        {
            "title": f"labels: {source} to {target}",
            "finding": finding(found),
            "found": found,
            "source": source,
            "target": target,
            "scored": short_path(found["scored"]["path"]),
            "names": names,
            "dashes": [DASHES[i % len(DASHES)] for i in range(len(names))],
            "heads": [(number(b["per_class"]), f"{b['labels']:,}") for b in found["budgets"]],
            "tables": measure_tables(found),
            "facts": _facts(found, source, target),
            "page": {"figures": {"curves": curves(found)}, "points": []},
        },
    )


def _facts(found: CurveScores, source: str, target: str) -> dict[str, str]:
    recipe = next(iter(found["strategies"].values()))
    facts = {
        "Source": source,
        "Target": target,
        "Scored on": _scored_on(found["scored"], found.get("digests", {}).get("score")),
        "Labels drawn from": f"{found['drawn_from']:,} examples",
        "Backbone": recipe["backbone"],
        "Trainings": f"{len(found['points']):,} of {recipe['train']['steps']:,} steps",
        "Seeds": ", ".join(map(str, found["seeds"])),
        "Time": f"{found['seconds'] / 60:.1f} min",
    }
    return {name: value for name, value in facts.items() if value}


def _scored_on(scored: ScoredDomain, digest: str | None) -> str:
    """Return the path, the number and the hash of the examples; an earlier version kept no hash."""
    content = f", content {digest}" if digest else ""
    return f"{scored['path']}, {scored['n']:,} examples{content}"


def curves(found: CurveScores) -> "Figure":
    """Return accuracy over labels per class on a logarithmic axis, at whose left end are results without labels."""
    from acclimate.report.plots import HUES, figure, plain

    at = axis_positions([budget["per_class"] for budget in found["budgets"]])
    n = len(found["curves"])
    data: list[Trace] = []
    for i, (name, curve) in enumerate(found["curves"].items()):
        colour, offset = f"<hue-{i % HUES}>", APART * (i - (n - 1) / 2)
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [round(at[point["per_class"]] + offset, 4) for point in curve],
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


def axis_positions(per_class: Sequence[float]) -> dict[float, float]:
    """Return the positions of budgets on the axis: their logarithm; that of no labels is one median gap further left.

    Example:
        >>> axis_positions([0.0, 1.0, 10.0, 100.0])
        {1.0: 0.0, 10.0: 1.0, 100.0: 2.0, 0.0: -1.0}
    """
    some = sorted({value for value in per_class if value})
    at = {value: float(np.log10(value)) for value in some}
    gaps = [after - before for before, after in pairwise(at.values())]
    if len(some) < len(set(per_class)):
        at[0.0] = min(at.values(), default=0.0) - (float(np.median(gaps)) if gaps else 1.0)
    return at


def _axes(found: CurveScores, at: Mapping[float, float]) -> "Layout":
    axis: dict[str, Json] = {"gridcolor": "<faint>", "automargin": True, "zeroline": False}
    ticks: Layout = {"tickvals": [round(x, 4) for x in at.values()], "ticktext": [number(value) for value in at]}
    return {
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "hovermode": "closest",
        "xaxis": {**axis, **ticks, "title": {"text": "labels per class", "standoff": 6}},
        "yaxis": {**axis, "tickformat": ".0%", "nticks": 7, "title": {"text": "accuracy", "standoff": 6}},
    }
