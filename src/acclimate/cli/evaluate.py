"""``acclimate evaluate``."""

from typing import Annotated, Any

import typer

from acclimate.cli.output import Json, speak_on_stderr, tell


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    labelled: Annotated[str, typer.Argument(help="Labelled examples: PATH or PATH#part.")],
    json: Json = False,
) -> None:
    """Score a Run on LABELLED, the source-only baseline beside it."""
    speak_on_stderr()
    from acclimate.evaluate.predictor import Run

    result = Run.open(run).evaluate(labelled)
    tell(_errors(result) if "mae" in result else _classes(result), result, as_json=json)


def _errors(result: dict[str, Any]) -> str:
    before = result["source_only"]
    told = ", ".join(
        f"{words} {result[name]:.4g} (source only {before[name]:.4g})"
        for name, words in (("mae", "MAE"), ("rmse", "RMSE"), ("r2", "R²"))
    )
    return f"{result['n']} examples: {told}"


def _classes(result: dict[str, Any]) -> str:
    recalls = "\n".join(
        f"  {name}: {'not there' if value is None else f'{value:.3f}'}" for name, value in result["recall"].items()
    )
    before = result["source_only"]["accuracy"]
    return (
        f"{result['n']} examples: accuracy {result['accuracy']:.4f} (source only {before:.4f}), "
        f"F1 {result['f1']:.4f}, log loss {result['log_loss']:.4f}\nrecall of each class:\n{recalls}"
    )
