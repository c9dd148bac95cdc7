"""``acclimate evaluate``."""

from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options
from acclimate.cli.begin import begin_with_run
from acclimate.cli.output import columns, import_modules, log_to_stderr, print_result

if TYPE_CHECKING:
    from acclimate.contents import BothPhases, ClassMeasure, Evaluation, NumberMeasure


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    labelled: Annotated[str, typer.Argument(help="Labelled examples to score on: PATH or PATH#part.")],
    model: options.Model = "",
    positive: options.Positive = None,
    tta: options.Tta = None,
    modules: options.Import = None,
    json: options.Json = False,
) -> None:
    """Score a Run on LABELLED, next to the source-only baseline."""
    log_to_stderr()
    import_modules(modules)
    begin_with_run(run, labelled)
    from acclimate.runs.run import Run

    opened = Run.open(run)
    choice = opened.choose(model)
    result = opened.evaluate(labelled, model=choice.model, positive=columns(positive), tta=columns(tta))
    line = _regression_line if "mae" in result else _classification_line
    lines = [f"{result['n']} examples, {choice}: {line(result)}"]
    if tta:
        lines.append(f"mean over the views {tta}: {line(result['tta'])}")
    print_result("\n".join([*lines, *_each_class(result)]), result, as_json=json)


def _regression_line(scores: "BothPhases") -> str:
    before = scores["source_only"]
    named: dict[NumberMeasure, str] = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
    return ", ".join(f"{words} {scores[name]:.4g} (source only {before[name]:.4g})" for name, words in named.items())


def _classification_line(scores: "BothPhases") -> str:
    before = scores["source_only"]
    named: dict[ClassMeasure, str] = {"accuracy": "accuracy", "f1": "F1", "log_loss": "log loss", "auc": "AUC"}
    return ", ".join(
        f"{words} {scores[name]:.4f} (source only {before[name]:.4f})"
        for name, words in named.items()
        if scores[name] is not None
    )


def _each_class(result: "Evaluation") -> list[str]:
    lines = [
        f"  {name}: {_formatted(recall)}, {_formatted(result['f1_by_class'][name])}"
        for name, recall in result.get("recall", {}).items()
    ]
    return ["recall and F1 of each class:", *lines] if lines else []


def _formatted(value: float | None) -> str:
    return "does not occur" if value is None else f"{value:.3f}"
