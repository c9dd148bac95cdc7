"""``acclimate labels``."""

from typing import Annotated

import typer

from acclimate.cli.output import Json, columns, numbers, pairs, speak_on_stderr, tell
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
    method: Annotated[str, typer.Option(help="auto, or one of `acclimate methods`.")] = "auto",
    finetune: Annotated[str, typer.Option(help="The rung of strategies that name none.")] = "auto",
    backbone: Annotated[str, typer.Option(help="As for `acclimate adapt`.")] = "auto",
    weights: Annotated[str | None, typer.Option(help="Local .safetensors or .pth for the backbone.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels a side that images are brought to.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps of every training.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to draw and train with.")] = 3,
    label: Annotated[str | None, typer.Option(help="Column of a table with the classes.")] = None,
    text: Annotated[str | None, typer.Option(help="Column with the text to learn from.")] = None,
    image: Annotated[str | None, typer.Option(help="Column with paths of the images to learn from.")] = None,
    drop: Annotated[str | None, typer.Option(help="Columns of a table to leave out, by commas.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for those strategies that have such an option.")
    ] = None,
    augment: Annotated[str | None, typer.Option(help="In training: none, flip_crop, trivial or noise.")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed, 16-mixed …")] = None,
    devices: Annotated[int, typer.Option(help="Processes, or GPUs.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder -o, if there is one.")] = False,
    json: Json = False,
) -> None:
    """How many labels to buy: accuracy on TARGET by labels per class, for each strategy."""
    speak_on_stderr()
    from acclimate.label_efficiency import labels as labels_
    from acclimate.report.label_curves import table

    try:
        curves = labels_(
            source, target, output, fractions=numbers("--fractions", fractions, float),
            per_class=numbers("--per-class", per_class, int), strategies=columns(strategies), held_out=held_out,
            score=score, method=method, finetune=finetune, backbone=backbone, weights=weights,
            image_size=image_size, steps=steps, seeds=seeds, label=label, text=text, image=image,
            drop=columns(drop), settings=pairs(set_), augment=augment, precision=precision, devices=devices,
            resume=resume, show=True,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise Stopped(f"stopped; the same command with --resume goes on with {output}") from None
    said = f"{table(curves.found)}\n{curves.finding}\nCurves: {curves.path / 'labels.html'}"
    tell(said, {"folder": str(curves.path), **curves.found}, as_json=json)
