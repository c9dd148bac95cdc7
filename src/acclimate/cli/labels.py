"""``acclimate labels``."""

from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import columns, numbers, pairs, speak_on_stderr, tell
from acclimate.errors import Stopped


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(labels)


def labels(
    source: Annotated[str, typer.Argument(help="Labelled domain: PATH or PATH#part.")],
    target: Annotated[str, typer.Argument(help="Labelled domain that labels are drawn from.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for labels.json and labels.html.")],
    fractions: Annotated[
        str | None, typer.Option(help="Shares of the labels to draw, by commas: 0.01,0.05,0.1,1 by default.")
    ] = None,
    per_class: Annotated[str | None, typer.Option(help="Labels to draw of each class, by commas: 1,5,10.")] = None,
    strategies: Annotated[
        str | None,
        typer.Option(help="METHOD or METHOD+RUNG, by commas: source_only, supervised and --method by default."),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of each class of TARGET that is scored on.")] = 0.5,
    score: Annotated[str | None, typer.Option(help="Labelled target to score on instead.")] = None,
    positive: options.Positive = None,
    tta: options.Tta = None,
    method: options.Method = "auto",
    pretrain: options.Pretrain = None,
    finetune: Annotated[str, typer.Option(help="The rung of strategies that name none.")] = "auto",
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
        list[str] | None, typer.Option("--set", help="key=value, for those strategies that have such an option.")
    ] = None,
    augment: options.Augment = None,
    precision: options.Precision = None,
    devices: options.Devices = 1,
    resume: options.Resume = False,
    json: options.Json = False,
) -> None:
    """How many labels to buy: accuracy on TARGET by labels per class, for each strategy."""
    speak_on_stderr()
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
        raise Stopped(f"stopped; the same command with --resume goes on with {output}") from None
    said = f"{table(curves.found)}\n{curves.finding}\nCurves: {curves.path / 'labels.html'}"
    tell(said, {"folder": str(curves.path), **curves.found}, as_json=json)
