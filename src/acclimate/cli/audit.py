"""``acclimate audit``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options
from acclimate.cli.begin import begin_with_run
from acclimate.cli.output import import_modules, log_to_stderr, print_result
from acclimate.cli.predict import check_output, check_overwrites
from acclimate.errors import BadInput
from acclimate.files import expand

if TYPE_CHECKING:
    from acclimate.runs.run import Run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    labelled: Annotated[
        str, typer.Argument(help="Labelled examples of the target, PATH or PATH#part; with --ask the target itself.")
    ],
    model: options.Model = "",
    ask: Annotated[
        int | None, typer.Option(help="Draw this many examples of the target at random and write them to -o.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw of --ask.", min=0)] = 0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File of --ask, .csv, with an empty column for the labels.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file -o if it exists.")] = False,
    modules: options.Import = None,
    json: options.Json = False,
) -> None:
    """Say how good a Run is on the target, from labels used for nothing else.

    Writes audit.json and the report into the Run; with --ask, a file of the examples to label instead.
    """
    log_to_stderr()
    import_modules(modules)
    path = _check(run, labelled, model, ask, output, overwrite=overwrite)
    begin_with_run(run, labelled)
    from acclimate.runs.run import Run

    opened = Run.open(run)
    if ask is not None and path:
        _draw(opened, labelled, ask, path, seed, as_json=json)
    else:
        _audit(opened, labelled, model, as_json=json)


def _check(run: str, target: str, model: str, ask: int | None, output: str | None, *, overwrite: bool) -> Path | None:
    """Check that options go together, and return the file to write with ``--ask``."""
    if ask is None:
        for flag, given in (("-o", output), ("--overwrite", overwrite)):
            if given:
                raise BadInput(f"{flag}: has no effect without --ask, which writes a file; omit it")
        return None
    if output is None:
        raise BadInput("--ask: needs a file for the examples to label; name one, e.g. -o to_label.csv")
    if model:
        raise BadInput("--model: has no effect with --ask, which draws examples alone; omit it")
    path = check_output(expand(output), endings=(".csv",))
    check_overwrites(path, expand(run), target, overwrite=overwrite)
    return path


def _draw(run: "Run", target: str, k: int, path: Path, seed: int, *, as_json: bool) -> None:
    from acclimate.run_folder import RunFolder
    from acclimate.workflows.audit import to_label

    frame = to_label(run, target, k, folder=path.parent, seed=seed)
    RunFolder(path.parent).write(path.name, frame.write_csv)
    label = frame.columns[-1]
    text = (
        f"Wrote {k:,} examples of {target}, drawn at random, to {path}. "
        f"Fill in the column {label!r}, then: acclimate audit {run.path} {path}"
    )
    print_result(text, {"output": str(path), "rows": k, "label": label, "seed": seed}, as_json=as_json)


def _audit(run: "Run", labelled: str, model: str, *, as_json: bool) -> None:
    from acclimate.runs.audited import audit_finding, model_lines
    from acclimate.workflows.audit import audit as audit_

    found = audit_(run, labelled, model=model)
    report = f"Report: {run.path / 'report.html'}"
    print_result("\n".join([*model_lines(found), audit_finding(found), report]), {**found}, as_json=as_json)
