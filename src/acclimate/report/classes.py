"""The page of a Run that predicts classes."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from acclimate.metrics import confusion, f1_by_class, recalls
from acclimate.report import plots
from acclimate.report.disagreements import tally, telling
from acclimate.report.page import EXAMPLES, Contents
from acclimate.runs.outputs import ClassOutputs, Codes, class_shares

CLASSES = 40
"""Classes that are drawn; with more, the ones most often predicted on the target."""


class ClassContents(Contents[ClassOutputs]):
    """What the page says of a Run that predicts classes."""

    template: ClassVar[str] = "report.html.j2"

    def own_parts(self) -> dict[str, Any]:
        """The table of classes and where the models disagree."""
        drawn = [len(self._drawn), len(self.recipe.classes)]
        return {"classes_drawn": drawn, "table": self._table(), **self._disagreements()}

    def map_of(
        self, points: NDArray[np.float64], mapped: list[tuple[ClassOutputs, Codes]], n: int, first: int
    ) -> plots.Figure:
        """The source's points by their true class, the target's by the predicted one."""
        codes = np.concatenate([_drawn_as(said)[rows] for said, rows in mapped])
        return plots.plane(points, n, codes, self.recipe.classes, first)

    def truth_says(self, label: Any) -> str:
        """The true class by name."""
        return f"true class: {self.recipe.classes[label]}"

    def says(self, said: ClassOutputs, row: int) -> str:
        """The predicted class and how sure the model is."""
        return f"{self.recipe.classes[said.predicted[row]]} ({said.probabilities[row].max():.2f})"

    @cached_property
    def _drawn(self) -> list[int]:
        """The classes that are drawn, in their own order."""
        often = np.argsort(-self.last(self.outputs.target).shares(), kind="stable")
        return sorted(often[:CLASSES].tolist())

    @cached_property
    def _class_shares(self) -> dict[str, NDArray[np.float64]]:
        """Share of each class: in the source, as predicted on the target, and in the target if it is known."""
        k = len(self.recipe.classes)
        source, scored = self.last(self.outputs.source), self.outputs.scored
        shares = {"source": source.shares() if source.labels is None else class_shares(source.labels, k)}
        shares |= {phase: self.outputs.target[phase].shares() for phase in self.phases}
        if scored and (labels := self.last(scored).labels) is not None:
            shares["truth"] = class_shares(labels, k)
        return shares

    @cached_property
    def _recalls(self) -> dict[str, NDArray[np.float64]]:
        return self._judged(recalls)

    def _judged(
        self, measure: Callable[[NDArray[np.float64], Codes], NDArray[np.float64]]
    ) -> dict[str, NDArray[np.float64]]:
        """A measure of each class ``(k,)`` on the labelled target, by model."""
        said = self.outputs.scored.items()
        return {phase: measure(of.probabilities, of.labels) for phase, of in said if of.labels is not None}

    def own_figures(self) -> dict[str, plots.Figure]:
        """Shares and, when scored, recalls and confusions."""
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
        columns |= {f"F1 {k}": v for k, v in self._judged(f1_by_class).items()}
        numbers = _numbers(columns, every)
        rows = [(name, [numbers[column][c] for column in numbers]) for c, name in enumerate(self.recipe.classes)]
        return {"columns": [_column(name) for name in numbers], "rows": rows}

    def _disagreements(self) -> dict[str, Any]:
        if len(self.phases) < 2:
            return {"tally": None, "examples": []}
        before, after = (self.outputs.target[phase] for phase in self.phases)
        rows = telling(before, after, self.rows[1], EXAMPLES)
        return {"tally": tally(before, after, self.truth), "examples": [self._example(row) for row in rows]}

    def _example(self, row: int) -> dict[str, Any]:
        classes, truth = self.recipe.classes, None if self.truth is None else int(self.truth[row])
        said = {phase: self.outputs.target[phase] for phase in self.phases}
        return {
            **self.example(row),
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


def _drawn_as(said: ClassOutputs) -> Codes:
    """The class of each example: the true one where it is known."""
    return said.predicted if said.labels is None else said.labels


def _numbers(columns: Mapping[str, NDArray[np.float64]], rows: Sequence[int]) -> dict[str, list[float | None]]:
    """Columns that JSON can hold: NaN, of a class that does not occur, becomes none."""
    return {
        name: [None if np.isnan(values[i]) else round(float(values[i]), 5) for i in rows]
        for name, values in columns.items()
    }


def _column(name: str) -> str:
    kind, _, of = name.partition(" ")
    whose = {**plots.NAMES, "truth": "target, true"}.get(of, of)
    return {"recall": f"found by {whose}", "F1": f"F1 of {whose}"}.get(kind, f"share, {whose}")
