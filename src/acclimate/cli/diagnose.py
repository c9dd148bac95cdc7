"""``acclimate diagnose``."""

from pathlib import Path
from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import columns, import_modules, log_to_stderr, print_result
from acclimate.cli.predict import check_page
from acclimate.data import require_path
from acclimate.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diagnose)


def diagnose(
    source: Annotated[str, typer.Argument(help="Domain that a model learns from, PATH or PATH#part.")],
    target: Annotated[str, typer.Argument(help="Domain where it must work; its labels, if any, are ignored.")],
    run: Annotated[
        str | None, typer.Option("--model", help="Run whose features and outputs are compared.", show_default=False)
    ] = None,
    target_labels: Annotated[
        str | None, typer.Option(help="Labelled examples of the target, for its class shares and concept drift.")
    ] = None,
    label: options.Label = None,
    text: options.Text = None,
    image: options.Image = None,
    drop: options.Drop = None,
    output: options.Page = None,
    overwrite: options.Overwrite = False,
    modules: options.Import = None,
    json: options.Json = False,
) -> None:
    """Say what differs between two domains, and how much.

    Tells likely faults in the data first, then differences, the largest first, with effect sizes and p-values.
    """
    log_to_stderr()
    import_modules(modules)
    page = _check(source, target, run, target_labels, output, overwrite=overwrite)
    _check_columns(run, {"--label": label, "--text": text, "--image": image, "--drop": drop})
    from acclimate.workflows.diagnose import diagnose as diagnose_

    found = diagnose_(
        source, target, model=run, target_labels=target_labels, label=label, text=text, image=image,
        drop=columns(drop), page=page,
    )  # fmt: skip
    written = f"\nPage: {page}" if page else ""
    print_result(f"{found}{written}", {**found.to_dict(), "page": str(page) if page else None}, as_json=json)


def _check(
    source: str, target: str, run: str | None, labelled: str | None, output: str | None, *, overwrite: bool
) -> Path | None:
    """Check all paths before anything that takes time to import, and return that of the page."""
    for path in (source, target, *([labelled] if labelled else [])):
        require_path(path)
    if run is not None:
        from acclimate.run_folder import RunFolder

        RunFolder.open(run)
    return check_page(output, (source, target), run=run, overwrite=overwrite)


def _check_columns(run: str | None, given: dict[str, str | None]) -> None:
    """Refuse to name columns beside a Run, which knows its own."""
    for flag, value in given.items():
        if run is not None and value is not None:
            raise BadInput(f"{flag}: has no effect with --model, whose Run knows its columns; omit it")
