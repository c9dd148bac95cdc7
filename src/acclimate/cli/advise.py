"""``acclimate advise``."""

from pathlib import Path
from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import columns, import_modules, log_to_stderr, print_result
from acclimate.cli.predict import check_page
from acclimate.data import require_path


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(advise)


def advise(
    source: Annotated[str, typer.Argument(help="Labelled domain, PATH or PATH#part, or a finished Run.")],
    target: Annotated[str, typer.Argument(help="Domain where a model must work; its labels, if any, are ignored.")],
    labels_per_class: Annotated[
        float | None,
        typer.Option(help="Labelled target examples per class that you have or would buy.", show_default=False),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--model", help="Run of the source, for the shares of the classes.")
    ] = None,
    target_labels: Annotated[str | None, typer.Option(help="Labelled examples of the target.")] = None,
    backbones: Annotated[
        str | None, typer.Option(help="Backbones to compare before any training, separated by commas.")
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
    """Say what to do about the difference between two domains, and why.

    Prints the way through a decision tree, the commands, the second choice and what would change the advice.
    """
    log_to_stderr()
    import_modules(modules)
    page = _check((source, target, run, target_labels), output, overwrite=overwrite)
    from acclimate.workflows.advise import advise as advise_

    found = advise_(
        source, target, labels_per_class=labels_per_class, model=run, target_labels=target_labels,
        named=columns(backbones), label=label, text=text, image=image, drop=columns(drop), page=page,
    )  # fmt: skip
    written = f"\nPage: {page}" if page else ""
    print_result(f"{found}{written}", {**found.to_dict(), "page": str(page) if page else None}, as_json=json)


def _check(given: tuple[str | None, ...], output: str | None, *, overwrite: bool) -> Path | None:
    """Check all paths before anything that takes time to import, and return that of the page."""
    paths = [path for path in given if path is not None]
    for path in paths:
        require_path(path)
    return check_page(output, paths, overwrite=overwrite)
