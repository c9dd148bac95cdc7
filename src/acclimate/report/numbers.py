"""The report of a Run that predicts numbers."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from acclimate.report import plots
from acclimate.report.disagreements import Truth, gap, select_gaps
from acclimate.report.page import EXAMPLES, Contents
from acclimate.runs.finding import UNKNOWN, amount
from acclimate.runs.outputs import Codes, NumberOutputs

POINTS = 1500
"""Most examples of the scored target whose predictions are drawn against the true numbers."""


class NumberContents(Contents[NumberOutputs]):
    """What the report shows of a Run that predicts numbers."""

    template: ClassVar[str] = "numbers.html.j2"

    def own_figures(self) -> dict[str, plots.Figure]:
        """Return the histogram of the predictions and, if the target is scored, each prediction against the truth."""
        figures = {"histogram": plots.histogram(self._series())}
        for phase, outputs in self.outputs.scored.items():
            if outputs.labels is not None:
                rows = np.sort(np.random.default_rng(0).permutation(len(outputs))[:POINTS])
                true, predicted = outputs.labels[rows], outputs.predicted[rows]
                names = [outputs.names[i] for i in rows]
                figures[f"against {phase}"] = plots.predicted_against_true(true, predicted, names, phase)
        return figures

    def own_parts(self) -> dict[str, object]:
        """Return where the predictions differ most, and what is not known."""
        parts: dict[str, object] = {
            "unknown": UNKNOWN,
            "amount": amount,
            "ends": [amount(end) for end in self._ends],
            "gap": None,
            "examples": [],
            "wrong": self._wrong(),
        }
        if len(self.phases) < 2:
            return parts
        before, after = (self.outputs.target[phase] for phase in self.phases)
        rows = select_gaps(before, after, self.rows[1], EXAMPLES)
        return {
            **parts,
            "gap": gap(before, after, self.truth),
            "examples": [self._example(row, self.outputs.target, self.truth) for row in rows],
        }

    def feature_map(
        self, points: NDArray[np.float64], outputs: list[tuple[NumberOutputs, Codes]], n_source: int, first: int
    ) -> plots.Figure:
        """Return a map with each point in the colour of its predicted number."""
        numbers = np.concatenate([of_domain.predicted[rows] for of_domain, rows in outputs])
        return plots.feature_map_of_numbers(points, n_source, numbers, self._ends, first)

    def describe_label(self, label: float) -> str:
        """Return the true number."""
        return f"true: {amount(label)}"

    def describe_prediction(self, outputs: NumberOutputs, row: int) -> str:
        """Return the predicted number."""
        return amount(outputs.predicted[row])

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The 1st and the 99th percentile of all predictions."""
        outputs = (*self.outputs.source.values(), *self.outputs.target.values())
        least, most = np.quantile(np.concatenate([of.predicted for of in outputs]), [0.01, 0.99])
        return float(f"{least:.4g}"), float(f"{most:.4g}")

    def _series(self) -> dict[str, NDArray[np.float64]]:
        """Return the source's true numbers, the predictions on the target, and the target's true numbers if known."""
        source, scored = self.final(self.outputs.source), self.outputs.scored
        series = {"source": source.predicted if source.labels is None else source.labels}
        series |= {phase: self.outputs.target[phase].predicted for phase in self.phases}
        if scored and (labels := self.final(scored).labels) is not None:
            series["truth"] = labels
        return series

    def _wrong(self) -> list[dict[str, object]]:
        """Return the labelled examples on which the final model errs most."""
        if (labelled := self.labelled) is None:
            return []
        place, outputs, truth, rows = labelled
        off = np.abs(self.final(outputs).predicted[rows] - truth[rows])
        largest = rows[np.argsort(-off, kind="stable")[: self.few]]
        return [self._example(int(row), outputs, truth, place) for row in largest]

    def _example(
        self, row: int, outputs: Mapping[str, NumberOutputs], truths: Truth | None, place: str = "target"
    ) -> dict[str, object]:
        truth = None if truths is None else float(truths[row])
        predicted = {phase: float(of_phase.predicted[row]) for phase, of_phase in outputs.items()}
        smallest = None if truth is None else min(abs(number - truth) for number in predicted.values())
        return {
            **self.example(row, place),
            "truth": None if truth is None else amount(truth),
            "predictions": [
                {
                    "phase": phase,
                    "number": amount(number),
                    "off": "" if truth is None else f"off by {amount(abs(number - truth))}",
                    "closer": truth is not None and abs(number - truth) == smallest,
                }
                for phase, number in predicted.items()
            ],
        }
