"""The page of a Run that predicts numbers."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from acclimate.report import plots
from acclimate.report.disagreements import furthest, gap
from acclimate.report.page import EXAMPLES, Contents
from acclimate.runs.finding import UNKNOWN, amount
from acclimate.runs.outputs import Codes, NumberOutputs

POINTS = 1500
"""Examples of the scored target that are drawn, their prediction against the truth."""


class NumberContents(Contents[NumberOutputs]):
    """What the page says of a Run that predicts numbers."""

    template: ClassVar[str] = "numbers.html.j2"

    def own_figures(self) -> dict[str, plots.Figure]:
        """How the predictions are spread and, when scored, each against the truth."""
        figures = {"spread": plots.spread(self._spread())}
        for phase, said in self.outputs.scored.items():
            if said.labels is not None:
                rows = np.sort(np.random.default_rng(0).permutation(len(said))[:POINTS])
                names = [said.names[i] for i in rows]
                figures[f"against {phase}"] = plots.against(said.labels[rows], said.predicted[rows], names, phase)
        return figures

    def own_parts(self) -> dict[str, Any]:
        """Where the models disagree, and what is not known."""
        parts: dict[str, Any] = {
            "unknown": UNKNOWN,
            "amount": amount,
            "ends": [amount(end) for end in self._ends],
            "gap": None,
            "examples": [],
        }
        if len(self.phases) < 2:
            return parts
        before, after = (self.outputs.target[phase] for phase in self.phases)
        rows = furthest(before, after, self.rows[1], EXAMPLES)
        return {**parts, "gap": gap(before, after, self.truth), "examples": [self._example(row) for row in rows]}

    def map_of(
        self, points: NDArray[np.float64], mapped: list[tuple[NumberOutputs, Codes]], n: int, first: int
    ) -> plots.Figure:
        """Every point by the predicted number."""
        numbers = np.concatenate([said.predicted[rows] for said, rows in mapped])
        return plots.plane_of_numbers(points, n, numbers, self._ends, first)

    def truth_says(self, label: Any) -> str:
        """The true number."""
        return f"true: {amount(label)}"

    def says(self, said: NumberOutputs, row: int) -> str:
        """The predicted number."""
        return amount(said.predicted[row])

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Between what and what nearly all predictions of all models lie."""
        said = (*self.outputs.source.values(), *self.outputs.target.values())
        least, most = np.quantile(np.concatenate([of.predicted for of in said]), [0.01, 0.99])
        return float(f"{least:.4g}"), float(f"{most:.4g}")

    def _spread(self) -> dict[str, NDArray[np.float64]]:
        """The source's true numbers, what is predicted on the target, and the truth there if it is known."""
        source, scored = self.last(self.outputs.source), self.outputs.scored
        series = {"source": source.predicted if source.labels is None else source.labels}
        series |= {phase: self.outputs.target[phase].predicted for phase in self.phases}
        if scored and (labels := self.last(scored).labels) is not None:
            series["truth"] = labels
        return series

    def _example(self, row: int) -> dict[str, Any]:
        truth = None if self.truth is None else float(self.truth[row])
        predicted = {phase: float(self.outputs.target[phase].predicted[row]) for phase in self.phases}
        nearest = None if truth is None else min(abs(number - truth) for number in predicted.values())
        return {
            **self.example(row),
            "truth": None if truth is None else amount(truth),
            "said": [
                {
                    "phase": phase,
                    "number": amount(number),
                    "off": "" if truth is None else f"off by {amount(abs(number - truth))}",
                    "nearer": truth is not None and abs(number - truth) == nearest,
                }
                for phase, number in predicted.items()
            ],
        }
