"""``acclimate adapt``."""

from typing import Annotated, Any

import typer

from acclimate.cli.output import Json, columns, pairs, speak_on_stderr, tell
from acclimate.errors import Stopped


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(adapt)


def adapt(
    source: Annotated[str, typer.Argument(help="Labelled domain: PATH or PATH#part.")],
    target: Annotated[str, typer.Argument(help="Domain the model must work on; labels in it are set aside.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the Run.")],
    method: Annotated[str, typer.Option(help="auto, or one of `acclimate methods`.")] = "auto",
    pretrain: Annotated[
        str | None, typer.Option(help="byol or vicreg: the backbone learns from unlabelled images first.")
    ] = None,
    finetune: Annotated[
        str,
        typer.Option(
            help="Which weights move: full, feature_extraction, partial, llrd, gradual, lp_ft or lora; auto tries."
        ),
    ] = "auto",
    backbone: Annotated[
        str,
        typer.Option(
            help="auto, mnist, svhn, gtsrb, cnn, mlp, efficientnet_lite0, timm:MODEL, minilm, encoder:FOLDER, fusion, "
            "linear."
        ),
    ] = "auto",
    weights: Annotated[str | None, typer.Option(help="Local .safetensors or .pth for the backbone.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Pixels a side that images are brought to.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds to train.")] = 1,
    label: Annotated[str | None, typer.Option(help="Column of a table with classes, or numbers to predict.")] = None,
    text: Annotated[str | None, typer.Option(help="Column with the text to learn from.")] = None,
    image: Annotated[
        str | None, typer.Option(help="Column with paths of the images to learn from, beside the table.")
    ] = None,
    drop: Annotated[str | None, typer.Option(help="Columns of a table to leave out, by commas.")] = None,
    task: Annotated[
        str, typer.Option(help="classification, regression, or auto: regression if labels are numbers with fractions.")
    ] = "auto",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="key=value: the method's own, train.…, finetune.…, pretrain.…, backbone.…, augment.…"
        ),
    ] = None,
    score: Annotated[str | None, typer.Option(help="Labelled target, read after training, for scores alone.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="Classes that are positive together, by commas, for the AUC.")
    ] = None,
    tta: Annotated[
        str | None, typer.Option(help="Views that --score averages over too: hflip, shift, five_crop, by commas.")
    ] = None,
    target_labels: Annotated[
        str | None, typer.Option(help="Labelled target to train on too; `supervised` trains on it alone.")
    ] = None,
    augment: Annotated[
        str | None, typer.Option(help="In training, of both domains: none, flip_crop, trivial or noise.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed, 16-mixed …")] = None,
    devices: Annotated[int, typer.Option(help="Processes, or GPUs.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the Run in -o, if there is one.")] = False,
    json: Json = False,
) -> None:
    """Train on SOURCE, adapt to TARGET, leave a Run with a model, predictions and a report."""
    speak_on_stderr()
    from acclimate.adaptation import adapt as adapt_

    try:
        run = adapt_(
            source, target, output, method=method, pretrain=pretrain, finetune=finetune, backbone=backbone,
            weights=weights, image_size=image_size, steps=steps, seeds=seeds, label=label, text=text,
            image=image, drop=columns(drop), task=task, settings=pairs(set_), score=score, positive=columns(positive),
            tta=columns(tta), target_labels=target_labels, augment=augment, precision=precision, devices=devices,
            resume=resume,
            show=True,
        )  # fmt: skip
    except KeyboardInterrupt:
        raise Stopped(f"stopped; the same command with --resume goes on with {output}") from None
    tell(_summary(run), {"run": str(run.path), **run.scores}, as_json=json)


def _summary(run: Any) -> str:
    from acclimate.evaluate.finding import finding

    return f"{finding(run)}\nReport: {run.path / 'report.html'}"
