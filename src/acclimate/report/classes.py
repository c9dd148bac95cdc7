"""The report of a Run that predicts classes."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.metrics import Reliability, confusion, f1_by_class, recalls, reliability
from acclimate.report import plots
from acclimate.report.disagreements import Truth, select_disagreements, select_uncertain, select_wrong, tally
from acclimate.report.page import EXAMPLES, Contents
from acclimate.runs.outputs import ClassOutputs, Codes, class_shares

CLASSES = 40
"""Most classes that are drawn; of more, those predicted most often on the target."""


class _ClassTable(NamedTuple):
    """The name of each column, and for each class its name and its numbers."""

    columns: list[str]
    rows: list[tuple[str, list[float | None]]]


class ClassContents(Contents[ClassOutputs]):
    """What the report shows of a Run that predicts classes."""

    template: ClassVar[str] = "report.html.j2"

    def own_parts(self) -> dict[str, object]:
        """Return the table of classes, where the models disagree, and examples of the final model to look at."""
        drawn = [len(self._drawn), len(self.recipe.classes)]
        errors = [(plots.NAMES[phase], f"{of.error:.3f}") for phase, of in self._reliability.items()]
        parts = {"classes_drawn": drawn, "table": self._table(), "calibration_errors": errors}
        return {**parts, **self._disagreements(), "wrong": self._wrong(), "uncertain": self._uncertain()}

    def feature_map(
        self, points: NDArray[np.float64], outputs: list[tuple[ClassOutputs, Codes]], n_source: int, first: int
    ) -> plots.Figure:
        """Return a map with the source's points in the colour of their true class, the target's of the predicted."""
        codes = np.concatenate([_class_on_map(of_domain)[rows] for of_domain, rows in outputs])
        return plots.feature_map(points, n_source, codes, self.recipe.classes, first)

    def describe_label(self, label: float) -> str:
        """Return the name of the true class."""
        return f"true class: {self.recipe.classes[int(label)]}"

    def describe_prediction(self, outputs: ClassOutputs, row: int) -> str:
        """Return the predicted class and its probability."""
        return f"{self.recipe.classes[outputs.predicted[row]]} ({outputs.probabilities[row].max():.2f})"

    @cached_property
    def _drawn(self) -> list[int]:
        """The classes that are drawn, in their usual order."""
        by_frequency = np.argsort(-self.final(self.outputs.target).shares(), kind="stable")
        return sorted(by_frequency[:CLASSES].tolist())

    @cached_property
    def _class_shares(self) -> dict[str, NDArray[np.float64]]:
        """The share of each class: in the source, predicted on the target, and in the target if it has labels."""
        k = len(self.recipe.classes)
        source, scored = self.final(self.outputs.source), self.outputs.scored
        shares = {"source": source.shares() if source.labels is None else class_shares(source.labels, k)}
        shares |= {phase: self.outputs.target[phase].shares() for phase in self.phases}
        if scored and (labels := self.final(scored).labels) is not None:
            shares["truth"] = class_shares(labels, k)
        return shares

    @cached_property
    def _recalls(self) -> dict[str, NDArray[np.float64]]:
        return self._score(recalls)

    def _score(
        self, measure: Callable[[NDArray[np.float64], Codes], NDArray[np.float64]]
    ) -> dict[str, NDArray[np.float64]]:
        """Return a measure of each class ``(k,)`` on the labelled target, by model."""
        scored = self.outputs.scored.items()
        return {phase: measure(of.probabilities, of.labels) for phase, of in scored if of.labels is not None}

    def own_figures(self) -> dict[str, plots.Figure]:
        """Return the figures of shares and, if the target is scored, of recalls and confusions."""
        drawn = self._drawn
        classes = [self.recipe.classes[c] for c in drawn]
        figures = {"shares": plots.dots_by_class(_numbers(self._class_shares, drawn), classes, "of examples")}
        if self._recalls:
            figures["recalls"] = plots.dots_by_class(_numbers(self._recalls, drawn), classes, "recall")
        for phase, outputs in self.outputs.scored.items():
            if outputs.labels is not None:
                counts = confusion(outputs.probabilities, outputs.labels)[np.ix_(drawn, drawn)]
                figures[f"confusion {phase}"] = plots.confusion(counts, classes)
        if self._reliability:
            figures["calibration"] = plots.calibration(self._reliability)
        return figures

    @cached_property
    def _reliability(self) -> dict[str, Reliability]:
        scored = self.outputs.scored.items()
        return {phase: reliability(of.probabilities, of.labels) for phase, of in scored if of.labels is not None}

    def _table(self) -> _ClassTable:
        """Return the numbers in the figures by class."""
        every = range(len(self.recipe.classes))
        columns = {f"share {k}": v for k, v in self._class_shares.items()}
        columns |= {f"recall {k}": v for k, v in self._recalls.items()}
        columns |= {f"F1 {k}": v for k, v in self._score(f1_by_class).items()}
        numbers = _numbers(columns, every)
        rows = [(name, [numbers[column][c] for column in numbers]) for c, name in enumerate(self.recipe.classes)]
        return _ClassTable([_column(name) for name in numbers], rows)

    def _disagreements(self) -> dict[str, object]:
        if len(self.phases) < 2:
            return {"tally": None, "examples": []}
        before, after = (self.outputs.target[phase] for phase in self.phases)
        rows = select_disagreements(before, after, self.rows[1], EXAMPLES, self.truth)
        examples = [self._example(row, self.outputs.target, self.truth) for row in rows]
        return {"tally": tally(before, after, self.truth), "examples": examples}

    def _uncertain(self) -> list[dict[str, object]]:
        """Return the examples of the target of which the final model is least certain."""
        target = self.outputs.target
        rows = select_uncertain(self.final(target), self.rows[1], self.few)
        return [self._example(row, target, self.truth) for row in rows]

    def _wrong(self) -> list[dict[str, object]]:
        """Return labelled examples on which the final model is wrong, and most sure of it."""
        if (labelled := self.labelled) is None:
            return []
        place, outputs, truth, rows = labelled
        wrong = select_wrong(self.final(outputs), rows, truth, self.few)
        return [self._example(row, outputs, truth, place) for row in wrong]

    def _example(
        self, row: int, outputs: Mapping[str, ClassOutputs], truths: Truth | None, place: str = "target"
    ) -> dict[str, object]:
        classes, truth = self.recipe.classes, None if truths is None else int(truths[row])
        return {
            **self.example(row, place),
            "truth": None if truth is None else classes[truth],
            "predictions": [
                {
                    "phase": phase,
                    "class": classes[of.predicted[row]],
                    "probability": f"{of.probabilities[row].max():.2f}",
                    "right": None if truth is None else bool(of.predicted[row] == truth),
                }
                for phase, of in outputs.items()
            ],
        }


def _class_on_map(outputs: ClassOutputs) -> Codes:
    """Return the class of each example: the true one if it is known, else the predicted one."""
    return outputs.predicted if outputs.labels is None else outputs.labels


def _numbers(columns: Mapping[str, NDArray[np.float64]], rows: Sequence[int]) -> dict[str, list[float | None]]:
    """Return the columns with None in place of NaN, the value of a class that does not occur; JSON has no NaN."""
    return {
        name: [None if np.isnan(values[i]) else round(float(values[i]), 5) for i in rows]
        for name, values in columns.items()
    }


def _column(name: str) -> str:
    kind, _, of = name.partition(" ")
    model = {**plots.NAMES, "truth": "target, true"}.get(of, of)
    return {"recall": f"recall, {model}", "F1": f"F1, {model}"}.get(kind, f"share, {model}")
