"""Advice as one HTML page."""

from pathlib import Path

from acclimate.advice import Advice
from acclimate.run_folder import RunFolder
from acclimate.shift.findings import Findings


def write_page(path: Path, advice: Advice, found: Findings | None) -> None:
    """Write the page of some advice to ``path``, whole or not at all."""
    text = render_advice(advice, found)
    RunFolder(path.parent).write(path.name, lambda place: place.write_text(text, "utf-8"))


def render_advice(advice: Advice, found: Findings | None) -> str:
    """Return one HTML page that loads nothing else, with the diagnosis that the advice rests on."""
    from acclimate.report.page import render_template  # plotly takes a second to import

    lines = found.lines() if found else []
    return render_template(
        "advise.html.j2", {"title": f"advice: {advice.name}", "advice": advice, "lines": lines, "found": found}
    )
