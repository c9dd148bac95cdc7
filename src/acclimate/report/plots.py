"""The figures, as the JSON that plotly.js draws.

A colour is written ``<name>`` for the style sheet's ``--name``, so that a figure works in light and dark mode. Text
from data passes through `plain`, so it cannot be a colour or markup.
"""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.contents import Json
from acclimate.metrics import Reliability
from acclimate.report.losses import mean_curve
from acclimate.runs.outputs import Codes

Trace: TypeAlias = dict[str, Json]
Layout: TypeAlias = dict[str, Json]
Figure: TypeAlias = dict[str, Json]

HUES = 10
"""The number of colours for classes; more classes repeat them and differ by their names on the map."""
LETTERS = 18
"""Most characters of a class's name on an axis."""
COLOURS = {"source_only": "<before>", "pretrained": "<low>", "adapted": "<after>"}
NAMES = {"source_only": "source-only", "pretrained": "pretraining", "adapted": "adapted"}
MANY = 150
"""Number of points of one colour above which rings are smaller, so that they do not hide the dots."""
SHARES = ".3~%"
"""Format of shares on an axis: as many digits as tell its ticks apart."""
BINS = 40
"""Bars of a histogram."""
FEW_STEPS = 6
"""Steps up to which each has a tick, as there is none between two."""
LABEL_LOSSES = ("class", "squared error")
"""Names of the loss on labels; the loss on the source's validation split is drawn with it."""
NAMED_CELLS = 25
"""Most classes whose names are on the axes of a confusion matrix."""
CELLS_WITH_TEXT = 12
"""Most classes of a confusion matrix with counts in its cells."""


def plain(text: str, most: int = LETTERS) -> str:
    """Return ``text``, shortened and escaped so that plotly.js shows it as it is.

    Example:
        >>> plain("<b>cat</b>")
        '&lt;b&gt;cat&lt;/b&gt;'
    """
    return html.escape(text if len(text) <= most else f"{text[: most - 1]}…", quote=False)


def distinct(names: Sequence[str], most: int = LETTERS) -> list[str]:
    """Return names as `plain` does, but with those that would look alike shortened in the middle or numbered.

    Example:
        >>> distinct(["a long name, red", "a long name, blue", "cat"], most=10)
        ['a lon… red', 'a lon…blue', 'cat']
    """
    short = [plain(name, most) for name in names]
    again = Counter(short)
    short = [plain(shorten_middle(n, most), most) if again[s] > 1 else s for n, s in zip(names, short, strict=True)]
    again = Counter(short)
    return [f"{s} ({i})" if again[s] > 1 else s for i, s in enumerate(short)]


def shorten_middle(text: str, most: int) -> str:
    """Shorten a text in its middle."""
    end = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - end]}…{text[-end:]}"


def figure(views: Mapping[str, tuple[Sequence[Trace], Layout]]) -> Figure:
    """Return a figure with one or more views (traces and layout); the first is the default."""
    return {"views": {name: {"data": list(data), "layout": dict(layout)} for name, (data, layout) in views.items()}}


def feature_map(
    points: NDArray[np.float64], n_source: int, codes: Codes, classes: Sequence[str], first: int = 0
) -> Figure:
    """Return a map of features, coloured by domain or by class.

    Args:
        points: Where the examples lie ``(n, 2)``, the source's first.
        n_source: How many points are the source's.
        codes: The class that gives each point its colour ``(n,)``.
        classes: The names of the classes.
        first: The index of the first of these points among the page's points.
    """
    is_source = np.arange(len(points)) < n_source
    by_domain = _by_domain(points, is_source, first)
    by_class = [
        _dots(points, (codes == c) & (is_source == source), f"<hue-{c % HUES}>", first, source=source)
        for source in (False, True)
        for c in np.unique(codes)
    ]
    layout = _bare_axes()
    named: Layout = {**layout, "annotations": _names_on_map(points, codes, classes)}
    return figure({"domain": (by_domain, layout), "class": (by_class, named)})


def feature_map_of_numbers(
    points: NDArray[np.float64], n_source: int, numbers: NDArray[np.float64], ends: tuple[float, float], first: int = 0
) -> Figure:
    """Return a map of features, coloured by domain or by predicted number.

    Args:
        points: Where the examples lie ``(n, 2)``, the source's first.
        n_source: How many points are the source's.
        numbers: The number that gives each point its colour ``(n,)``.
        ends: The ends of the colour scale.
        first: The index of the first of these points among the page's points.
    """
    is_source = np.arange(len(points)) < n_source
    scale: dict[str, Json] = {"colorscale": _SHADES, "cmin": ends[0], "cmax": ends[1]}
    by_value: list[Trace] = []
    for source in (False, True):
        chosen = is_source == source
        by_value.append(_dots(points, chosen, [_short(x) for x in numbers[chosen]], first, source=source, scale=scale))
    layout = _bare_axes()
    return figure({"domain": (_by_domain(points, is_source, first), layout), "value": (by_value, layout)})


_SHADES: Json = [[0, "<low>"], [0.5, "<middle>"], [1, "<high>"]]


def _short(value: float) -> float:
    """Round to four significant digits, to keep the page small."""
    return float(f"{value:.4g}")


def _by_domain(points: NDArray[np.float64], is_source: NDArray[np.bool_], first: int) -> list[Trace]:
    return [
        _dots(points, ~is_source, "<target>", first, source=False),
        _dots(points, is_source, "<source>", first, source=True),
    ]


def _dots(
    points: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    colour: str | list[float],
    first: int,
    *,
    source: bool,
    scale: Mapping[str, Json] | None = None,
) -> Trace:
    large = np.count_nonzero(chosen) <= MANY
    ring: dict[str, Json] = {
        "symbol": "circle-open",
        "size": 8 if large else 6,
        "line": {"width": 2 if large else 1.3, "color": colour},
    }
    dot: dict[str, Json] = {"symbol": "circle", "size": 6, "opacity": 0.62, "line": {"width": 0}}
    rows = np.flatnonzero(chosen)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": points[rows, 0].round(2).tolist(),
        "y": points[rows, 1].round(2).tolist(),
        "customdata": (rows + first).tolist(),
        "hoverinfo": "none",
        "marker": {**(ring if source else dot), "color": colour, **(scale or {})},
    }


def _bare_axes() -> Layout:
    bare: Layout = {"visible": False, "showgrid": False, "zeroline": False}
    margin = {"l": 8, "r": 8, "t": 8, "b": 8}
    return {"xaxis": bare, "yaxis": {**bare, "scaleanchor": "x"}, "margin": margin, "hovermode": "closest"}


def _names_on_map(points: NDArray[np.float64], codes: Codes, classes: Sequence[str]) -> list[Json]:
    """Return the name of each class where its points are densest, so that classes differ not by colour alone."""
    names: list[Json] = []
    for c in np.unique(codes):
        own = points[codes == c]
        x, y = own[np.abs(own - np.median(own, axis=0)).sum(1).argmin()]
        names.append(
            {
                "x": round(float(x), 2),
                "y": round(float(y), 2),
                "text": plain(classes[c]),
                "showarrow": False,
                "font": {"size": 14, "color": "<ink>", "weight": 650},
                "bgcolor": "<veil>",
                "bordercolor": f"<hue-{c % HUES}>",
                "borderwidth": 1.5,
                "borderpad": 3,
                "captureevents": False,
            }
        )
    return names


def dots_by_class(series: Mapping[str, Sequence[float | None]], classes: Sequence[str], unit: str) -> Figure:
    """Return a line for each class with a mark for each series: ``source``, ``source_only``, ``adapted``, ``truth``."""
    height = list(range(len(classes)))
    data: list[Trace] = []
    if {"source_only", "adapted"} <= series.keys():
        data.append(_bridge(series["source_only"], series["adapted"]))
    for name, values in series.items():
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": list(values),
                "y": height,
                "cliponaxis": False,
                "marker": _MARKS[name],
                "hovertemplate": f"%{{text}}<br>{_SERIES[name]}: %{{x:.1%}} {unit}<extra></extra>",
                "text": [plain(c, 60) for c in classes],
            }
        )
    return figure({"all": (data, _class_axes(classes))})


_SERIES = {"source": "source", "truth": "target, true", **NAMES}
_MARKS: Mapping[str, Json] = {
    "source": {"symbol": "diamond-open", "size": 9, "color": "<source>", "line": {"width": 2}},
    "source_only": {"symbol": "circle", "size": 10, "color": "<before>"},
    "adapted": {"symbol": "circle", "size": 11, "color": "<after>"},
    "truth": {"symbol": "line-ns-open", "size": 15, "color": "<ink>", "line": {"width": 2.5}},
}


def _bridge(before: Sequence[float | None], after: Sequence[float | None]) -> Trace:
    """Return thin lines from one model's marks to the other's."""
    x: list[Json] = []
    y: list[Json] = []
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        x += [a, b, None]
        y += [i, i, None]
    line: Json = {"color": "<line>", "width": 3}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"}


def _class_axes(classes: Sequence[str]) -> Layout:
    k = len(classes)
    return {
        "margin": {"l": 8, "r": 16, "t": 30, "b": 8},
        "hovermode": "closest",
        "xaxis": {
            "side": "top",
            "tickformat": SHARES,
            "rangemode": "tozero",
            "gridcolor": "<faint>",
            "zeroline": False,
            "nticks": 6,
        },
        "yaxis": {
            "tickvals": list(range(k)),
            "ticktext": distinct(classes),
            "range": [k - 0.5, -0.5],
            "gridcolor": "<faint>",
            "zeroline": False,
            "ticklabelstandoff": 10,
            "automargin": True,
        },
    }


def confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Return a confusion matrix: rows are true classes, columns predicted ones, shaded by the share of the row."""
    return figure({"all": ([_heat(matrix, classes)], _matrix_axes(classes))})


def _heat(matrix: NDArray[np.int64], classes: Sequence[str]) -> Trace:
    share = matrix / matrix.sum(1, keepdims=True).clip(1)
    names = [plain(c, 40) for c in classes]
    texts = [
        [f"true {t}<br>predicted {p}<br>{n} examples, " for p, n in zip(names, row, strict=True)]
        for t, row in zip(names, matrix.tolist(), strict=True)
    ]
    return {
        "type": "heatmap",
        "z": share.round(4).tolist(),
        "customdata": texts,
        "text": [[str(n) if n else "" for n in row] for row in matrix.tolist()],
        "texttemplate": "%{text}" if len(classes) <= CELLS_WITH_TEXT else "",
        "hovertemplate": "%{customdata}%{z:.1%} of the row<extra></extra>",
        "colorscale": [[0, "<heat-0>"], [0.5, "<heat-1>"], [1, "<heat-2>"]],
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "xgap": 2 if len(classes) <= 30 else 0,
        "ygap": 2 if len(classes) <= 30 else 0,
    }


def _matrix_axes(classes: Sequence[str]) -> Layout:
    k = len(classes)
    ticks: Layout = {"tickvals": list(range(k)), "ticktext": distinct(classes, 12), "showgrid": False}
    common: Layout = {**ticks, "zeroline": False, "automargin": True, "ticks": "", "showticklabels": k <= NAMED_CELLS}
    return {
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "xaxis": {**common, "title": {"text": "predicted", "standoff": 6}, "side": "top", "constrain": "domain"},
        "yaxis": {**common, "title": {"text": "true", "standoff": 6}, "range": [k - 0.5, -0.5], "constrain": "domain"},
    }


def histogram(series: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Return a histogram, as a line for each series: ``source``, ``source_only``, ``adapted``, ``truth``.

    The outermost bins include the values beyond the middle 99 % of all values.
    """
    least, most = np.quantile(np.concatenate(list(series.values())), [0.005, 0.995])
    edges = np.linspace(least, most if most > least else least + 1, BINS + 1)
    middles = [_short(x) for x in (edges[1:] + edges[:-1]) / 2]
    data: list[Trace] = []
    for name, values in series.items():
        counts, _ = np.histogram(values.clip(edges[0], edges[-1]), edges)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": middles,
                "y": [_short(share) for share in counts / max(len(values), 1)],
                "line": {"shape": "hvh", **_STROKES[name]},
                "hovertemplate": f"{_SERIES[name]}<br>near %{{x}}: %{{y:.1%}} of examples<extra></extra>",
            }
        )
    shares: Layout = {"tickformat": SHARES, "rangemode": "tozero"}
    return figure({"all": (data, _number_axes({"showgrid": False}, shares))})


def _number_axes(x: Layout, y: Layout) -> Layout:
    axis: Layout = {"gridcolor": "<faint>", "automargin": True, "nticks": 6, "zeroline": False}
    margin = {"l": 8, "r": 12, "t": 8, "b": 8}
    return {"margin": margin, "hovermode": "closest", "xaxis": {**axis, **x}, "yaxis": {**axis, **y}}


_STROKES: Mapping[str, Mapping[str, Json]] = {
    "source": {"color": "<source>", "width": 2, "dash": "dot"},
    "source_only": {"color": "<before>", "width": 2.2},
    "adapted": {"color": "<after>", "width": 2.2},
    "truth": {"color": "<ink>", "width": 2, "dash": "dot"},
}


def predicted_against_true(
    true: NDArray[np.float64], predicted: NDArray[np.float64], names: Sequence[str], phase: str
) -> Figure:
    """Return the predictions ``(n,)`` over the true numbers ``(n,)``, with the line where both are equal."""
    ends = [_short(true.min()), _short(true.max())]
    stroke: Json = {"color": "<ink>", "width": 1.5, "dash": "dot"}
    line: Trace = {"type": "scatter", "mode": "lines", "x": ends, "y": ends, "hoverinfo": "skip", "line": stroke}
    dots: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [_short(x) for x in true],
        "y": [_short(y) for y in predicted],
        "text": [plain(name, 60) for name in names],
        "marker": {"size": 6, "opacity": 0.5, "color": COLOURS[phase]},
        "hovertemplate": "%{text}<br>true %{x}<br>predicted %{y}<extra></extra>",
    }
    return figure({"all": ([line, dots], _number_axes(_title("true"), _title("predicted")))})


def _title(text: str) -> Layout:
    return {"title": {"text": text, "standoff": 6}}


def calibration(found: Mapping[str, Reliability]) -> Figure:
    """Return how often predictions of some confidence are right, by model, with the line where both are equal."""
    stroke: Json = {"color": "<ink>", "width": 1.5, "dash": "dot"}
    data: list[Trace] = [
        {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "hoverinfo": "skip", "line": stroke}
    ]
    for phase, of_model in found.items():
        sizes = 6 + 12 * np.sqrt(of_model.counts / max(of_model.counts.max(initial=1), 1))
        words = "%{customdata} examples<br>confidence %{x:.0%}<br>right %{y:.0%}<extra></extra>"
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [_short(x) for x in of_model.confidence],
                "y": [_short(y) for y in of_model.accuracy],
                "customdata": of_model.counts.tolist(),
                "line": {"color": COLOURS[phase], "width": 1.6},
                "marker": {"color": COLOURS[phase], "size": sizes.round(1).tolist()},
                "hovertemplate": f"{NAMES[phase]}, {words}",
            }
        )
    axis: Layout = {"range": [-0.03, 1.03], "tickformat": SHARES}
    return figure({"all": (data, _number_axes({**axis, **_title("confidence")}, {**axis, **_title("right")}))})


def loss_curves(curves: pl.DataFrame) -> dict[str, Figure]:
    """Return a figure for each loss, by name: thin lines are seeds, the thick line is their mean."""
    lengths = curves.group_by("name", maintain_order=True).agg(pl.col("bin").n_unique())
    names = [n for n, length in lengths.iter_rows() if length > 1]
    figures, steps = {}, max(curves["step"].to_list(), default=0) if names else 0
    for name in names:
        if name == "source_val_loss":
            continue  # drawn with the loss on labels
        data = [trace for phase in COLOURS for trace in _curve(curves, phase, name)]
        if name in LABEL_LOSSES and "source_val_loss" in names:
            data += [t for phase in COLOURS for t in _curve(curves, phase, "source_val_loss", dash="dot")]
        figures[name] = figure({"all": (data, _step_axes(name, steps))})
    return figures


def _curve(curves: pl.DataFrame, phase: str, name: str, dash: str = "solid") -> list[Trace]:
    own = curves.filter((pl.col("phase") == phase) & (pl.col("name") == name))
    if own.is_empty():
        return []
    seeds = own.partition_by("seed", maintain_order=True)
    thick = _line(mean_curve(own), COLOURS[phase], 2.2, dash, _curve_name(phase, name))
    thin = [_line(seed, COLOURS[phase], 0.8, dash) for seed in seeds] if len(seeds) > 1 else []
    return [*thin, thick]


def _curve_name(phase: str, name: str) -> str:
    return f"{NAMES[phase]}{', source validation' if name == 'source_val_loss' else ''}"


def _line(curve: pl.DataFrame, colour: str, width: float, dash: str, name: str = "") -> Trace:
    few = curve.height <= 20
    hover = (
        {"hovertemplate": f"{name}<br>step %{{x:.0f}}: %{{y:.4g}}<extra></extra>"} if name else {"hoverinfo": "skip"}
    )
    return {
        "type": "scatter",
        "mode": "lines+markers" if few and name else "lines",
        "x": curve["step"].to_list(),
        "y": [float(f"{v:.4g}") for v in curve["value"]],
        "opacity": 1 if name else 0.45,
        "line": {"color": colour, "width": width, "dash": dash},
        "marker": {"size": 5, "color": colour},
        **hover,
    }


def _step_axes(name: str, steps: float) -> Layout:
    share: Layout = {"tickformat": SHARES} if name.endswith("accuracy") else {"rangemode": "tozero"}
    axis: Layout = {"gridcolor": "<faint>", "automargin": True, "nticks": 5, "zeroline": False}
    return {
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "hovermode": "closest",
        "xaxis": {**axis, "showgrid": False, "ticksuffix": "", **({"dtick": 1} if steps <= FEW_STEPS else {})},
        "yaxis": {**axis, **share},
    }
