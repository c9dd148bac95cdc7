"""``acclimate compare``."""

from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options as shared
from acclimate.cli.begin import begin_training
from acclimate.cli.output import import_modules, log_to_stderr, print_result, stopped

if TYPE_CHECKING:
    from acclimate.workflows.options import CompareKeywords


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shared.command(compare, "CompareRequest"))


def compare(
    source: Annotated[str, typer.Argument(help="Labelled domain, PATH or PATH#part; several separated by commas.")],
    target: Annotated[str, typer.Argument(help="Domain to adapt to; its labels, if any, are ignored.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for compare.html and the Run winner.")],
    *,
    options: "CompareKeywords",
    modules: shared.Import = None,
    resume: shared.Resume = False,
    json: shared.Json = False,
) -> None:
    """Try many methods and choose one without target labels.

    Trains every method with several settings and seeds, rejects collapsed models, ranks the others and makes the best
    a Run.
    """
    log_to_stderr()
    import_modules(modules)
    from acclimate.workflows.options import CompareRequest

    begin_training(CompareRequest, source, target, output, options, resume=resume)
    from acclimate.report.compare import table
    from acclimate.workflows.compare.workflow import compare as compare_

    try:
        compared = compare_(source, target, output, resume=resume, show=True, **options)
    except KeyboardInterrupt:
        raise stopped(output) from None
    lines = (table(compared.found), compared.finding, f"Run: {compared.path / 'winner'}")
    summary = "\n".join([*lines, f"Comparison: {compared.path / 'compare.html'}"])
    print_result(summary, {"folder": str(compared.path), **compared.found}, as_json=json)
