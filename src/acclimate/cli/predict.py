"""``acclimate predict``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options as shared
from acclimate.cli.begin import begin_with_run
from acclimate.cli.output import import_modules, log_to_stderr, print_result
from acclimate.errors import BadInput
from acclimate.files import expand

if TYPE_CHECKING:
    import polars as pl

    from acclimate.runs.choice import Choice
    from acclimate.runs.run import Run
    from acclimate.shift.label_shift import ClassShare
    from acclimate.workflows.options import PredictKeywords


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shared.command(predict, "PredictOptions"))


def predict(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    examples: Annotated[str, typer.Argument(metavar="INPUT", help="Examples to predict for: PATH or PATH#part.")],
    output: Annotated[str, typer.Option("--output", "-o", help="File for the predictions, .csv or .parquet.")],
    *,
    options: "PredictKeywords",
    overwrite: shared.Overwrite = False,
    modules: shared.Import = None,
    json: shared.Json = False,
) -> None:
    """Predict for every row of INPUT, in its order.

    Writes the class and its probabilities, or a number.
    """
    log_to_stderr()
    import_modules(modules)
    path = check_output(expand(output))
    check_overwrites(path, expand(run), examples, overwrite=overwrite)
    test_time, label_shift, views = options["test_time"], options["label_shift"], options["tta"]
    begin_with_run(run, examples, test_time=test_time, label_shift=label_shift)
    from acclimate.run_folder import RunFolder
    from acclimate.runs.run import Run

    opened = Run.open(run)
    if label_shift:
        opened.require_classes("--label-shift")
    if label_shift and views:
        raise BadInput("--label-shift: needs predictions on plain examples; remove --tta")
    choice = opened.choose(
        options["model"], alone="--label-shift" if label_shift else "--test-time" if test_time else ""
    )
    frame = opened.predict(examples, model=choice.model, test_time=test_time, settings=options["settings"], tta=views)
    frame, shares = _corrected(opened, frame, label_shift, choice)
    RunFolder(path.parent).write(path.name, frame.write_csv if path.suffix == ".csv" else frame.write_parquet)
    _print(path, frame, choice, shares, as_json=json)


def _corrected(
    run: "Run", frame: "pl.DataFrame", label_shift: str, choice: "Choice"
) -> "tuple[pl.DataFrame, list[ClassShare]]":
    """Predictions corrected for an estimated label shift, and the shares; as they are where none is to be estimated."""
    if not label_shift:
        return frame, []
    shift = run.label_shift(frame, label_shift, model=choice.model)
    return run.correct(frame, shift), shift.by_class(run.recipe.classes)


def _print(path: Path, frame: "pl.DataFrame", choice: "Choice", shares: "list[ClassShare]", *, as_json: bool) -> None:
    """Print what was written and by which model, and the estimated shares of the classes if there are any."""
    unread = frame["error"].count()
    text = f"Wrote {frame.height} rows to {path}, predicted by {choice}"
    text += f"; {unread} unreadable, see the column error" if unread else ""
    value: dict[str, object] = {
        "output": str(path), "rows": frame.height, "unread": unread, "model": choice.model,
        "seeds": list(choice.seeds), **_summary(frame),
    }  # fmt: skip
    if shares:
        value["shares"] = shares
    print_result("\n".join([text, *(_SHARE.format(**of) for of in shares)]), value, as_json=as_json)


def _summary(frame: "pl.DataFrame") -> dict[str, object]:
    """Summarise predictions: the number of far examples, and the count of each class or the range of the numbers."""
    far = {"far": int((frame["distance"] > FAR).sum())} if frame["distance"].count() else {"far": None}
    if "prediction" in frame.columns:
        numbers = frame["prediction"]
        return {**far, "least": numbers.min(), "mean": numbers.mean(), "greatest": numbers.max()}
    return {
        **far,
        "classes": {str(c): int(n) for c, n in frame["class"].drop_nulls().value_counts(sort=True).iter_rows()},
    }


FAR = 1
"""Distance from both domains above which an example is far."""
_SHARE = "{class}: {share:.1%} ({low:.1%} to {high:.1%}), in the source {source:.1%}"


def check_output(output: Path, *, endings: Sequence[str] = (".csv", ".parquet")) -> Path:
    """Check that a table can be written to ``output``, before any work."""
    if output.suffix not in endings:
        raise BadInput(f"{output}: not a {' or '.join(endings)} file; choose such a name")
    if not output.parent.is_dir():
        raise BadInput(f"{output}: the folder {output.parent} does not exist; create it, or choose another -o")
    if output.is_dir():
        raise BadInput(f"{output}: is a folder; choose another -o")
    return output


def check_page(output: str | None, given: Sequence[str], *, run: str | None = None, overwrite: bool) -> Path | None:
    """Check that a page can be written to ``output``, if there is one, beside the input that is ``given``."""
    if output is None:
        if overwrite:
            raise BadInput("--overwrite: has no effect without -o, which writes a file; omit it")
        return None
    page = check_output(expand(output), endings=(".html",))
    for path in given:
        check_overwrites(page, expand(run or path), path, overwrite=overwrite)
    return page


def check_overwrites(output: Path, run: Path, examples: str, *, overwrite: bool) -> None:
    """Refuse an output that would replace a file of the input or the Run, or without ``overwrite`` any other file."""
    from acclimate.data import file_of

    if _is_below(output, run):
        raise BadInput(f"{output}: is in the Run {run}; choose another -o")
    if not output.exists() and not output.is_symlink():
        return
    given = file_of(examples)
    if given.exists() and output.exists() and output.samefile(given):
        raise BadInput(f"{output}: is the input itself; choose another -o")
    if _is_below(output, given):
        raise BadInput(f"{output}: already exists in the input folder {given}; choose another -o")
    if not overwrite:
        raise BadInput(f"{output}: already exists; choose another -o, or add --overwrite")


def _is_below(path: Path, folder: Path) -> bool:
    """Whether ``path`` is below ``folder``; of a link, the link itself, since writing replaces the link."""
    parent = path.parent.resolve()
    return folder.is_dir() and any(above.samefile(folder) for above in (parent, *parent.parents))
