"""``acclimate predict``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from acclimate.cli import options
from acclimate.cli.output import columns, pairs, speak_on_stderr, tell
from acclimate.errors import BadInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)


def predict(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    examples: Annotated[str, typer.Argument(metavar="INPUT", help="What to predict for: PATH or PATH#part.")],
    output: Annotated[str, typer.Option("--output", "-o", help="predictions.csv or .parquet.")],
    label_shift: Annotated[
        str, typer.Option(help="Correct for other class shares than the source's, found by: bbse, rlls or em.")
    ] = "",
    test_time: Annotated[
        str, typer.Option(help="Adapt while predicting: adabn, tent or lame. INPUT is read as a stream, in its order.")
    ] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: an option of --test-time, e.g. most_changed=0.2")
    ] = None,
    tta: Annotated[
        str | None, typer.Option(help="Average over views of each image: hflip, shift, five_crop, by commas.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file -o if it exists.")] = False,
    json: options.Json = False,
) -> None:
    """Write class and probabilities, or a number, for every row of INPUT, in its order."""
    speak_on_stderr()
    path = _checked(Path(output))
    _check_nothing_lost(path, Path(run), examples, overwrite=overwrite)
    from acclimate.run_folder import RunFolder
    from acclimate.runs.run import Run
    from acclimate.shift.label_shift import get

    if label_shift:
        get(label_shift)
    opened = Run.open(run)
    if label_shift:
        opened.require_classes("--label-shift")
    if label_shift and tta:
        raise BadInput("--label-shift and --tta: shares are told from what the model says of plain examples; drop one")
    frame = opened.predict(examples, test_time=test_time, settings=pairs(set_), tta=columns(tta))
    shift = opened.label_shift(frame, label_shift) if label_shift else None
    frame = frame if shift is None else opened.correct(frame, shift)
    RunFolder(path.parent).write(path.name, frame.write_csv if path.suffix == ".csv" else frame.write_parquet)
    unread = frame["error"].count()
    text = f"{frame.height} rows to {path}" + (f"; {unread} could not be read, see column error" if unread else "")
    value: dict[str, Any] = {"output": str(path), "rows": frame.height, "unread": unread, **_summary(frame)}
    if shift is not None:
        value["shares"] = shift.by_class(opened.recipe.classes)
        text = "\n".join([text, *(_SHARE.format(**of) for of in value["shares"])])
    tell(text, value, as_json=json)


def _summary(frame: Any) -> dict[str, Any]:
    """How often each class is predicted, or between what and what the predictions of a regression lie."""
    if "prediction" in frame.columns:
        numbers = frame["prediction"]
        return {"least": numbers.min(), "mean": numbers.mean(), "greatest": numbers.max()}
    return {"classes": {str(c): int(n) for c, n in frame["class"].drop_nulls().value_counts(sort=True).iter_rows()}}


_SHARE = "{class}: {share:.1%} ({low:.1%} to {high:.1%}), in the source {source:.1%}"


def _checked(output: Path) -> Path:
    """Where predictions go, if they can: told before the work and not after."""
    if output.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"{output}: predictions are written as .csv or .parquet; choose such a name")
    if not output.parent.is_dir():
        raise BadInput(f"{output}: there is no folder {output.parent} to write it in; make it, or choose another -o")
    if output.is_dir():
        raise BadInput(f"{output}: is a folder; choose another -o")
    return output


def _check_nothing_lost(output: Path, run: Path, examples: str, *, overwrite: bool) -> None:
    """Refuse an output that would replace a file of the input or of the Run, or any other without ``overwrite``."""
    from acclimate.data import file_of

    if _lies_in(output, run):
        raise BadInput(f"{output}: lies in the Run {run}; choose another -o")
    if not output.exists() and not output.is_symlink():
        return
    given = file_of(examples)
    if given.exists() and output.exists() and output.samefile(given):
        raise BadInput(f"{output}: is the input itself, which would be lost; choose another -o")
    if _lies_in(output, given):
        raise BadInput(f"{output}: exists already in the input folder {given}; choose another -o")
    if not overwrite:
        raise BadInput(f"{output}: exists already; choose another -o, or add --overwrite")


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether ``path`` lies below ``folder``; if it is a link, the link itself, which is what writing replaces."""
    inside = path.parent.resolve()
    return folder.is_dir() and any(above.samefile(folder) for above in (inside, *inside.parents))
