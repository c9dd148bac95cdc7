"""``acclimate adapt``."""

from typing import Annotated, Any

import typer

from acclimate.cli import options
from acclimate.cli.output import columns, log_to_stderr, pairs, print_result
from acclimate.errors import Stopped


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(adapt)


def adapt(
    source: Annotated[str, typer.Argument(help="Labelled domain: PATH or PATH#part.")],
    target: Annotated[str, typer.Argument(help="Domain to adapt to; its labels, if any, are ignored.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the Run.")],
    method: options.Method = "auto",
    pretrain: options.Pretrain = None,
    finetune: Annotated[
        str,
        typer.Option(
            help="Fine-tuning strategy: full, feature_extraction, partial, llrd, gradual, lp_ft, lora, or auto: with a "
            "pretrained backbone, try strategies from simplest to fullest while source validation loss improves."
        ),
    ] = "auto",
    backbone: options.Backbone = "auto",
    weights: options.Weights = None,
    image_size: options.ImageSize = None,
    steps: options.Steps = None,
    seeds: options.Seeds = 1,
    label: options.Label = None,
    text: options.Text = None,
    image: options.Image = None,
    drop: options.Drop = None,
    task: Annotated[
        str, typer.Option(help="classification, regression, or auto: regression if labels are numbers with fractions.")
    ] = "auto",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="key=value: the method's options, train.…, finetune.…, pretrain.…, backbone.…, augment.…",
        ),
    ] = None,
    score: Annotated[str | None, typer.Option(help="Labelled target to score on; read only after training.")] = None,
    positive: options.Positive = None,
    tta: options.Tta = None,
    target_labels: Annotated[
        str | None, typer.Option(help="Labelled target to train on as well; `supervised` trains on it alone.")
    ] = None,
    augment: options.Augment = None,
    precision: options.Precision = None,
    devices: options.Devices = 1,
    resume: options.Resume = False,
    json: options.Json = False,
) -> None:
    """Train on SOURCE and adapt to TARGET.

    Writes a Run: a model, predictions and a report.
    """
    log_to_stderr()
    from acclimate.workflows.adapt import adapt as adapt_

    try:
        run = adapt_(
            source, target, output, method=method, pretrain=pretrain, finetune=finetune, backbone=backbone,
            weights=weights, image_size=image_size, steps=steps, seeds=seeds, label=label, text=text,
            image=image, drop=columns(drop), task=task, settings=pairs(set_), score=score, positive=columns(positive),
            tta=columns(tta), target_labels=target_labels, augment=augment, precision=precision, devices=devices,
            resume=resume, show=True,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise Stopped(f"stopped; run the same command with --resume to continue {output}") from None
    print_result(_summary(run), {"run": str(run.path), **run.scores}, as_json=json)


def _summary(run: Any) -> str:
    from acclimate.runs.finding import finding

    return f"{finding(run)}\nReport: {run.path / 'report.html'}"
