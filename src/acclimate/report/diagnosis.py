"""A diagnosis as one HTML page."""

from collections.abc import Mapping
from pathlib import Path

from acclimate.data import Domain
from acclimate.run_folder import RunFolder
from acclimate.runs.snippets import Snippet, snippet_of
from acclimate.shift.effects import LARGE, SMALL
from acclimate.shift.findings import Finding, Findings, format_p

COLUMNS = 24
"""Most columns whose distributions are drawn."""
WIDEST = 2.0
"""Effect at which a bar is full, in standard deviations."""
COLOURS: Mapping[str, str] = {"different": "wrong", "very different": "wrong"}
"""Classes of the style sheet by verdict."""


def write_page(path: Path, found: Findings, source: Domain, target: Domain) -> None:
    """Write the page of a diagnosis to ``path``, whole or not at all."""
    text = render_diagnosis(found, examples_of(found, source, target))
    RunFolder(path.parent).write(path.name, lambda place: place.write_text(text, "utf-8"))


def examples_of(found: Findings, source: Domain, target: Domain) -> dict[str, list[Snippet]]:
    """What is shown of the examples that are most typical of the difference; of tables and vectors nothing."""
    if found.kind not in ("images", "text") or not any(one.level for one in found.of("domains")):
        return {}
    rows = zip(("source", "target"), (source, target), found.typical, strict=True)
    return {name: [snippet_of(domain, i) for i in of_domain] for name, domain, of_domain in rows}


def render_diagnosis(found: Findings, examples: Mapping[str, list[Snippet]]) -> str:
    """Return one HTML page that loads nothing else."""
    from acclimate.report.page import render_template, short_path  # plotly takes a second to import

    source, target = short_path(found.source), short_path(found.target)
    headline = f"{found.verdict}{found.first}" if found.tests else found.headline
    return render_template(
        "diagnose.html.j2",
        {
            "title": f"diagnosis: {source} and {target}",
            "headline": headline[:1].upper() + headline[1:],
            "found": found,
            "source": source,
            "target": target,
            "whole": [_row(one) for one in found.tests if one.where not in ("column", "harm", "concept")],
            "columns": [_row(one) for one in found.of("column") if one.level][:COLUMNS],
            "same": sum(not one.level for one in found.of("column")),
            "examples": examples,
            "bounds": (SMALL, LARGE),
        },
    )


def _row(one: Finding) -> dict[str, object]:
    tallest = max((*one.bars.source, *one.bars.target), default=0) if one.bars else 0
    bars = [
        (name, round(36 * a / (tallest or 1), 1), round(36 * b / (tallest or 1), 1))
        for name, a, b in (zip(one.bars.names, one.bars.source, one.bars.target, strict=True) if one.bars else ())
    ]
    return {
        "name": one.name,
        "verdict": one.verdict,
        "colour": COLOURS.get(one.verdict, "quiet"),
        "text": one.text if one.where == "column" else one.text[:1].upper() + one.text[1:],
        "test": one.test,
        "p": format_p(one.p),
        "effect": f"{abs(one.effect):.2g}",
        "share": min(1.0, abs(one.effect) / WIDEST) if one.level else 0.0,
        "bars": bars,
    }
