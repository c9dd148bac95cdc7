"""``acclimate report``."""

from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import log_to_stderr, print_result


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    json: options.Json = False,
) -> None:
    """Write a Run's report.html again."""
    log_to_stderr()
    from acclimate.run_folder import RunFolder

    RunFolder.open(run)  # told before torch is imported
    from acclimate.report import write_report
    from acclimate.runs.run import Run

    path = write_report(Run.open(run))
    print_result(f"Report: {path}", {"report": str(path)}, as_json=json)
