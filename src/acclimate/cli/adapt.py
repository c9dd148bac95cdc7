"""``acclimate adapt``."""

from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options as shared
from acclimate.cli.begin import begin_training
from acclimate.cli.output import import_modules, log_to_stderr, print_result, stopped

if TYPE_CHECKING:
    from acclimate.runs.run import Run
    from acclimate.workflows.options import AdaptKeywords


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shared.command(adapt, "Request"))


def adapt(
    source: Annotated[
        str, typer.Argument(help="Labelled domain, PATH or PATH#part; several separated by commas; or a finished Run.")
    ],
    target: Annotated[str, typer.Argument(help="Domain to adapt to; its labels, if any, are ignored.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the Run.")],
    *,
    options: "AdaptKeywords",
    modules: shared.Import = None,
    resume: shared.Resume = False,
    json: shared.Json = False,
) -> None:
    """Train on SOURCE and adapt to TARGET.

    Writes a Run: a model, predictions and a report.
    """
    log_to_stderr()
    import_modules(modules)
    from acclimate.workflows.options import Request

    begin_training(Request, source, target, output, options, resume=resume)
    from acclimate.workflows.adapt import adapt as adapt_

    try:
        run = adapt_(source, target, output, resume=resume, show=True, **options)
    except KeyboardInterrupt:
        raise stopped(output) from None
    audit = {"audit": run.audited} if run.audited else {}
    print_result(_summary(run), {"run": str(run.path), **run.scores, **audit}, as_json=json)


def _summary(run: "Run") -> str:
    from acclimate.runs.audited import audit_finding
    from acclimate.runs.finding import ensemble_finding, finding

    audit = audit_finding(run.audited) if run.audited else ""
    lines = (finding(run), ensemble_finding(run.scores), audit, f"Report: {run.path / 'report.html'}")
    return "\n".join(line for line in lines if line)
