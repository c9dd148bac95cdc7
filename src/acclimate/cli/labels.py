"""``acclimate labels``."""

from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options as shared
from acclimate.cli.begin import begin_training
from acclimate.cli.output import import_modules, log_to_stderr, print_result, stopped

if TYPE_CHECKING:
    from acclimate.workflows.options import LabelKeywords


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shared.command(labels, "LabelRequest"))


def labels(
    source: Annotated[str, typer.Argument(help="Labelled domain, PATH or PATH#part; several separated by commas.")],
    target: Annotated[str, typer.Argument(help="Labelled domain to draw labels from.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for labels.json and labels.html.")],
    *,
    options: "LabelKeywords",
    modules: shared.Import = None,
    resume: shared.Resume = False,
    json: shared.Json = False,
) -> None:
    """Estimate how many labels to buy.

    Measures accuracy on TARGET against labels per class, for each strategy.
    """
    log_to_stderr()
    import_modules(modules)
    from acclimate.workflows.options import LabelRequest

    begin_training(LabelRequest, source, target, output, options, resume=resume)
    from acclimate.report.label_curves import table
    from acclimate.workflows.label_curves import labels as labels_

    try:
        curves = labels_(source, target, output, resume=resume, show=True, **options)
    except KeyboardInterrupt:
        raise stopped(output) from None
    summary = f"{table(curves.found)}\n{curves.finding}\nCurves: {curves.path / 'labels.html'}"
    print_result(summary, {"folder": str(curves.path), **curves.found}, as_json=json)
