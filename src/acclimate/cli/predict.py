"""``acclimate predict``."""

from pathlib import Path
from typing import Annotated

import typer

from acclimate.cli.output import Json, speak_on_stderr, tell


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)


def predict(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    examples: Annotated[str, typer.Argument(metavar="INPUT", help="What to classify: PATH or PATH#part.")],
    output: Annotated[str, typer.Option("--output", "-o", help="predictions.csv or .parquet.")],
    json: Json = False,
) -> None:
    """Write class and probabilities for every row of INPUT, in its order."""
    speak_on_stderr()
    from acclimate.errors import BadInput
    from acclimate.evaluate.predictor import Run
    from acclimate.run import RunFolder

    path = Path(output)
    if path.suffix not in {".csv", ".parquet"}:
        raise BadInput(f"{path}: predictions are written as .csv or .parquet; choose such a name")
    frame = Run.open(run).predict(examples)
    RunFolder(path.parent).write(path.name, frame.write_csv if path.suffix == ".csv" else frame.write_parquet)
    unread = frame["error"].count()
    counts = {str(c): int(n) for c, n in frame["class"].drop_nulls().value_counts(sort=True).iter_rows()}
    text = f"{frame.height} rows to {path}" + (f"; {unread} could not be read, see column error" if unread else "")
    tell(text, {"output": str(path), "rows": frame.height, "unread": unread, "classes": counts}, as_json=json)
