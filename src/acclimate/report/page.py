"""The page: what it shows, gathered from a Run and poured into the template."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jinja2
import numpy as np
import yaml
from markupsafe import Markup, escape
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from acclimate.evaluate.finding import finding
from acclimate.evaluate.metrics import confusion, recalls
from acclimate.report import plots
from acclimate.report.disagreements import tally, telling
from acclimate.report.embed import embed
from acclimate.report.losses import read_losses
from acclimate.report.outputs import Codes, Said, class_shares, read_outputs
from acclimate.report.snippets import Snippet, read_snippets, shown
from acclimate.run import RunFolder

EXAMPLES = 12
"""Disagreements that are shown."""
CLASSES = 40
"""Classes that are drawn; with more, the ones most often predicted on the target."""


def render(run: RunFolder) -> str:
    """The whole page as HTML, in need of nothing outside itself."""
    loader = jinja2.PackageLoader("acclimate.report")
    pages = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    pages.filters |= {"percent": _percent, "breakable": _breakable}
    parts = {name: Markup(loader.get_source(pages, f"report.{name}")[0]) for name in ("css", "js")}
    return pages.get_template("report.html.j2").render(
        **_Contents(run).gather(),
        **parts,
        plotly=Markup(get_plotlyjs()),
    )


class _Contents:
    """What the page says of one Run."""

    def __init__(self, run: RunFolder):
        self.run, self.recipe, self.scores = run, run.recipe, run.scores
        self.outputs = read_outputs(run)
        self.phases = self.outputs.phases
        self.truth = self.outputs.target_truth()
        self.snippets = {place: read_snippets(run, place) for place in ("source_val", "target")}

    def gather(self) -> dict[str, Any]:
        """Everything the template names."""
        figures = {**self._maps(), **self._by_class(), **self._losses()}
        here, there = short_path(self.recipe.source.path), short_path(self.recipe.target.path)
        return {
            "title": f"{self.recipe.method}: {here} to {there}",
            "finding": finding(self.run).replace(self.recipe.target.path, there).replace(self.recipe.source.path, here),
            "here": here,
            "there": there,
            "recipe": self.recipe,
            "scores": self.scores,
            "phases": self.phases,
            "names": plots.NAMES,
            "n_here": len(self._last(self.outputs.source)),
            "n_there": len(self._last(self.outputs.scored or self.outputs.target)),
            "page": {"figures": figures, "points": self._points()},
            "maps_by": [plane.how for plane in self._planes],
            "n_points": [len(rows) for rows in self._rows],
            "losses": [name.removeprefix("loss ") for name in figures if name.startswith("loss ")],
            "classes_drawn": [len(self._drawn), len(self.recipe.classes)],
            "table": self._table(),
            **self._disagreements(),
            **self._facts(),
        }

    def _last(self, said: Mapping[str, Said]) -> Said:
        return said[list(said)[-1]]

    @cached_property
    def _rows(self) -> tuple[Codes, Codes]:
        """The source's and the target's rows on the maps: those with features, and with snippets if there are any."""
        source, target = self._last(self.outputs.source), self._last(self.outputs.target)
        return np.intersect1d(source.rows, shown(len(source))), np.intersect1d(target.rows, shown(len(target)))

    @cached_property
    def _planes(self) -> list[Any]:
        return [embed(np.concatenate([_features(s, rows) for s, rows in self._mapped(phase)])) for phase in self.phases]

    def _mapped(self, phase: str) -> list[tuple[Said, Codes]]:
        """What is on a phase's map, each with its rows: the source, if the model met it, and the target."""
        sides = zip((self.outputs.source, self.outputs.target), self._rows, strict=True)
        return [(side[phase], rows) for side, rows in sides if phase in side]

    def _maps(self) -> dict[str, plots.Figure]:
        here, there = self._rows
        figures = {}
        for phase, plane in zip(self.phases, self._planes, strict=True):
            codes = np.concatenate([_classes(said)[rows] for said, rows in self._mapped(phase)])
            n, first = len(codes) - len(there), len(here) + len(there) - len(codes)
            figures[f"map {phase}"] = plots.plane(plane.points, n, codes, self.recipe.classes, first)
        return figures

    def _points(self) -> list[dict[str, Any]]:
        """What is told of each point of the maps, the source's first."""
        source = [self._point("source", self.outputs.source, int(row)) for row in self._rows[0]]
        return source + [self._point("target", self.outputs.target, int(row)) for row in self._rows[1]]

    def _point(self, domain: str, said: Mapping[str, Said], row: int) -> dict[str, Any]:
        snippet = self._snippet("source_val" if domain == "source" else "target", row)
        truth = self._last(said).labels if domain == "source" else self.truth
        lines = [] if truth is None else [f"true class: {self.recipe.classes[truth[row]]}"]
        lines += [f"{plots.NAMES[phase]}: {self._says(said[phase], row)}" for phase in said]
        point = {"domain": domain, "name": _called(self._last(said).names[row]), "lines": lines, **snippet._asdict()}
        return {key: value for key, value in point.items() if value}

    def _snippet(self, place: str, row: int) -> Snippet:
        return self.snippets[place].get(row, Snippet())

    def _says(self, said: Said, row: int) -> str:
        return f"{self.recipe.classes[said.predicted[row]]} ({said.probabilities[row].max():.2f})"

    @cached_property
    def _drawn(self) -> list[int]:
        """The classes that are drawn, in their own order."""
        often = np.argsort(-self._last(self.outputs.target).shares(), kind="stable")
        return sorted(often[:CLASSES].tolist())

    @cached_property
    def _class_shares(self) -> dict[str, NDArray[np.float64]]:
        """Share of each class: in the source, as predicted on the target, and in the target if it is known."""
        k = len(self.recipe.classes)
        source, scored = self._last(self.outputs.source), self.outputs.scored
        shares = {"source": source.shares() if source.labels is None else class_shares(source.labels, k)}
        shares |= {phase: self.outputs.target[phase].shares() for phase in self.phases}
        if scored and (labels := self._last(scored).labels) is not None:
            shares["truth"] = class_shares(labels, k)
        return shares

    @cached_property
    def _recalls(self) -> dict[str, NDArray[np.float64]]:
        return {
            phase: recalls(said.probabilities, said.labels)
            for phase, said in self.outputs.scored.items()
            if said.labels is not None
        }

    def _by_class(self) -> dict[str, plots.Figure]:
        drawn = self._drawn
        classes = [self.recipe.classes[c] for c in drawn]
        figures = {"shares": plots.dots_by_class(_numbers(self._class_shares, drawn), classes, "of examples")}
        if self._recalls:
            figures["recalls"] = plots.dots_by_class(_numbers(self._recalls, drawn), classes, "found")
        for phase, said in self.outputs.scored.items():
            if said.labels is not None:
                counts = confusion(said.probabilities, said.labels)[np.ix_(drawn, drawn)]
                figures[f"confusion {phase}"] = plots.confusion(counts, classes)
        return figures

    def _table(self) -> dict[str, Any]:
        """The numbers behind the pictures by class."""
        every = range(len(self.recipe.classes))
        columns = {f"share {k}": v for k, v in self._class_shares.items()}
        columns |= {f"recall {k}": v for k, v in self._recalls.items()}
        numbers = _numbers(columns, every)
        rows = [(name, [numbers[column][c] for column in numbers]) for c, name in enumerate(self.recipe.classes)]
        return {"columns": [_column(name) for name in numbers], "rows": rows}

    def _losses(self) -> dict[str, plots.Figure]:
        return {f"loss {name}": figure for name, figure in plots.courses(read_losses(self.run)).items()}

    def _disagreements(self) -> dict[str, Any]:
        if len(self.phases) < 2:
            return {"tally": None, "examples": []}
        before, after = (self.outputs.target[phase] for phase in self.phases)
        rows = telling(before, after, self._rows[1], EXAMPLES)
        return {"tally": tally(before, after, self.truth), "examples": [self._example(row) for row in rows]}

    def _example(self, row: int) -> dict[str, Any]:
        classes, truth = self.recipe.classes, None if self.truth is None else int(self.truth[row])
        said = {phase: self.outputs.target[phase] for phase in self.phases}
        return {
            "name": _called(self._last(said).names[row]),
            "snippet": self._snippet("target", row),
            "truth": None if truth is None else classes[truth],
            "said": [
                {
                    "phase": phase,
                    "class": classes[of.predicted[row]],
                    "sure": f"{of.probabilities[row].max():.2f}",
                    "right": None if truth is None else bool(of.predicted[row] == truth),
                }
                for phase, of in said.items()
            ],
        }

    def _facts(self) -> dict[str, Any]:
        environment, train = self.run.environment, self.recipe.train
        facts = {
            "Source": self.recipe.source.path,
            "Started from": self.recipe.origin or "",
            "Target": self.recipe.target.path,
            "Method": " ".join([self.recipe.method, *(f"{k}={v}" for k, v in self.recipe.options.items())]),
            "Backbone": self.recipe.backbone,
            "Seeds": ", ".join(str(s) for s in self.recipe.seeds),
            "Steps": f"{train.steps:,} of {train.batch_size} examples",
            "Optimizer": f"{train.optimizer}, rate {train.lr}, {train.schedule}",
            "Time": _duration(environment.get("seconds")),
            "Started": str(environment.get("started", "")).replace("T", " "),
            "Device": f"{environment.get('device', '')}, {environment.get('threads', '')} threads",
            "Python": environment.get("python", ""),
            "System": environment.get("platform", ""),
        }
        return {
            "facts": {name: value for name, value in facts.items() if value},
            "versions": environment.get("versions", {}),
            "recipe_text": yaml.safe_dump(self.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        }


def short_path(path: str) -> str:
    """The last two steps of a path, enough to know it by.

    Example:
        >>> short_path("/data/clinics/hearts.csv#site=va/1")
        'clinics/hearts.csv#site=va/1'
    """
    where, hash_, part = path.partition("#")
    return "/".join(where.rstrip("/").split("/")[-2:]) + hash_ + part


def _classes(said: Said) -> Codes:
    """The class that each example is drawn as: the true one where it is known."""
    return said.predicted if said.labels is None else said.labels


def _called(name: str) -> str:
    return f"row {name}" if name.isdecimal() else name


def _features(said: Said, rows: Codes) -> NDArray[np.float64]:
    return said.features[np.searchsorted(said.rows, rows)]


def _numbers(columns: Mapping[str, NDArray[np.float64]], rows: Sequence[int]) -> dict[str, list[float | None]]:
    """Columns that JSON can hold: NaN, of a class that does not occur, becomes none."""
    return {
        name: [None if np.isnan(values[i]) else round(float(values[i]), 5) for i in rows]
        for name, values in columns.items()
    }


def _column(name: str) -> str:
    kind, _, of = name.partition(" ")
    whose = {**plots.NAMES, "truth": "target, true"}.get(of, of)
    return f"found by {whose}" if kind == "recall" else f"share, {whose}"


def _breakable(text: str) -> Markup:
    """``text``, escaped, that may be broken between the steps of a path and the words of a file's name."""
    return Markup(re.sub(r"[/_]|\.(?=[a-z])", r"\g<0><wbr>", str(escape(text))))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
