"""``acclimate report``."""

from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import speak_on_stderr, tell


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    json: options.Json = False,
) -> None:
    """Draw a Run's report.html anew."""
    speak_on_stderr()
    from acclimate.report import write_report
    from acclimate.run_folder import RunFolder

    folder = RunFolder.open(run)
    path = write_report(folder)
    tell(f"Report: {path}", {"report": str(path)}, as_json=json)
