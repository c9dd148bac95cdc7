"""The report of a Run: one HTML page."""

from pathlib import Path

from acclimate.run_folder import RunFolder


def write_report(run: RunFolder) -> Path:
    """Write ``report.html`` from the files in the Run's folder, and return its path."""
    text = _regression(run) if run.recipe.task == "regression" else _classification(run)
    return run.write("report.html", lambda path: path.write_text(text, "utf-8"))


def _classification(run: RunFolder) -> str:
    from acclimate.report.classes import ClassContents  # openTSNE and plotly take seconds to import
    from acclimate.report.page import render
    from acclimate.runs.outputs import read_outputs

    return render(ClassContents(run, read_outputs(run)))


def _regression(run: RunFolder) -> str:
    from acclimate.report.numbers import NumberContents
    from acclimate.report.page import render
    from acclimate.runs.outputs import read_numbers

    return render(NumberContents(run, read_numbers(run)))
