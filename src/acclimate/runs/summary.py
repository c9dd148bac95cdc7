"""A Run in a few lines: as text, and as HTML for a notebook."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

from acclimate.contents import Audited, PhaseScores, Scored, Scores
from acclimate.recipe import Recipe
from acclimate.runs.audited import known
from acclimate.runs.finding import Headline, amount, ensemble_finding, headline
from acclimate.runs.verdict import Verdict, verdict

COLUMNS = ("source, held out", "target")
"""What the models are scored on."""


class Summary(NamedTuple):
    """What a Run's scores say.

    Attributes:
        headline: The result, with its details.
        ensemble: What predicts with several seeds; else empty.
        table: For each model its name and its scores, one for each of `COLUMNS`.
        kept: A sentence about which model predicts.
        verdict: What it means, and the next steps.
    """

    headline: Headline
    ensemble: str
    table: list[tuple[str, list[str]]]
    kept: str
    verdict: Verdict

    def __str__(self) -> str:
        """Plain text, a line for each statement."""
        wide = max(len(name) for name, _ in self.table)
        scores = [f"  {name:<{wide}}  " + "  ".join(f"{s:>16}" for s in cells) for name, cells in self.table]
        steps = [f"- {step.text}{f' {step.command}' if step.command else ''}" for step in self.verdict.steps]
        head = f"  {'':<{wide}}  " + "  ".join(f"{name:>16}" for name in COLUMNS)
        told = [f"{self.headline.text}.", self.headline.details, self.kept, self.ensemble]
        return "\n".join([*filter(None, told), head, *scores, self.verdict.text, *steps])

    def html(self, report: Path) -> str:
        """HTML that loads nothing and inherits the notebook's colours; text is escaped.

        Args:
            report: The path of the report, which is named.
        """
        head = "".join(f"<th>{escape(name)}</th>" for name in ("", *COLUMNS))
        rows = "".join(
            f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
            for name, cells in self.table
        )
        steps = "".join(
            f"<li>{escape(step.text)}{f' <code>{escape(step.command)}</code>' if step.command else ''}</li>"
            for step in self.verdict.steps
        )
        told = "".join(f"<p>{escape(text)}</p>" for text in (self.headline.details, self.kept, self.ensemble) if text)
        return (
            f"<div><p><b>{escape(self.headline.text)}</b></p>{told}<table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table><p>{escape(self.verdict.text)}</p><ol>{steps}</ol>"
            f"<p>Report: <code>{escape(str(report))}</code></p></div>"
        )


def summarise(scores: Scores, recipe: Recipe, sizes: Mapping[str, int], audited: Audited | None = None) -> Summary:
    """Return what a Run's scores say; see `Summary`."""
    models: dict[str, PhaseScores] = {"source-only": scores["source_only"]}
    if "adapted" in scores:
        models["adapted"] = scores["adapted"]
    table = [(name, [_score(of["source_val"]), _score(of.get("target"))]) for name, of in models.items()]
    why = f" The adapted model is not kept: {scores['why']}." if scores.get("why") else ""
    kept = f"The {scores['kept'].replace('_', '-')} model is kept.{why}" if len(models) > 1 else ""
    title = known(audited) if audited and "target" not in scores else headline(scores, recipe)
    found = verdict(scores, recipe, sizes, audited)
    return Summary(title, ensemble_finding(scores), table, kept, found)


def _score(part: Scored | None) -> str:
    """The main score with its number of examples."""
    if not part:
        return "–"
    number = f" (n = {part['n']:,})" if "n" in part else ""
    return f"{amount(part['mae'])} MAE{number}" if "mae" in part else f"{part['accuracy']:.1%}{number}"
