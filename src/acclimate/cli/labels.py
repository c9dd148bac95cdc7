"""``acclimate labels``."""

from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import columns, log_to_stderr, numbers, pairs, print_result
from acclimate.errors import Stopped


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(labels)


def labels(
    source: Annotated[str, typer.Argument(help="Labelled domain: PATH or PATH#part.")],
    target: Annotated[str, typer.Argument(help="Labelled domain to draw labels from.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for labels.json and labels.html.")],
    fractions: Annotated[
        str | None, typer.Option(help="Fractions of the labels to draw, comma-separated; default 0.01,0.05,0.1,1.")
    ] = None,
    per_class: Annotated[
        str | None, typer.Option(help="Labels to draw of each class, comma-separated, e.g. 1,5,10.")
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            help="METHOD or METHOD+FINETUNE, comma-separated, where FINETUNE is a fine-tuning strategy; default "
            "source_only, supervised and --method."
        ),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Fraction of each class of TARGET held out for scores.")] = 0.5,
    score: Annotated[str | None, typer.Option(help="Labelled target to score on instead of held-out rows.")] = None,
    positive: options.Positive = None,
    tta: options.Tta = None,
    method: options.Method = "auto",
    pretrain: options.Pretrain = None,
    finetune: Annotated[str, typer.Option(help="Fine-tuning strategy of entries without +FINETUNE.")] = "auto",
    backbone: options.Backbone = "auto",
    weights: options.Weights = None,
    image_size: options.ImageSize = None,
    steps: options.Steps = None,
    seeds: options.Seeds = 3,
    label: options.Label = None,
    text: options.Text = None,
    image: options.Image = None,
    drop: options.Drop = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for all entries of --strategies with this option.")
    ] = None,
    augment: options.Augment = None,
    precision: options.Precision = None,
    devices: options.Devices = 1,
    resume: options.Resume = False,
    json: options.Json = False,
) -> None:
    """Estimate how many labels to buy.

    Measures accuracy on TARGET against labels per class, for each strategy.
    """
    log_to_stderr()
    from acclimate.report.label_curves import table
    from acclimate.workflows.label_curves import labels as labels_

    try:
        curves = labels_(
            source, target, output, fractions=numbers("--fractions", fractions, float),
            per_class=numbers("--per-class", per_class, int), strategies=columns(strategies), held_out=held_out,
            score=score, positive=columns(positive), tta=columns(tta), method=method, pretrain=pretrain,
            finetune=finetune, backbone=backbone, weights=weights, image_size=image_size,
            steps=steps, seeds=seeds, label=label, text=text, image=image, drop=columns(drop), settings=pairs(set_),
            augment=augment, precision=precision, devices=devices, resume=resume, show=True,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise Stopped(f"stopped; run the same command with --resume to continue {output}") from None
    summary = f"{table(curves.found)}\n{curves.finding}\nCurves: {curves.path / 'labels.html'}"
    print_result(summary, {"folder": str(curves.path), **curves.found}, as_json=json)
