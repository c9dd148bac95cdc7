"""The page that shows a Run."""

from pathlib import Path

from acclimate.run import RunFolder


def write_report(run: RunFolder) -> Path:
    """Write ``report.html`` from what the Run's folder holds, and say where it is."""
    from acclimate.report.page import render  # openTSNE and plotly take seconds to import

    text = render(run)
    return run.write("report.html", lambda path: path.write_text(text, "utf-8"))
