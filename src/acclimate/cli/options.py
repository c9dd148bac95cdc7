"""Options that several commands share."""

from typing import Annotated

import typer

Backbone = Annotated[
    str,
    typer.Option(
        help="auto, mnist, svhn, gtsrb, cnn, mlp, efficientnet_lite0, timm:MODEL, minilm, encoder:FOLDER, fusion, "
        "linear."
    ),
]
Pretrain = Annotated[
    str | None, typer.Option(help="Pretrain the backbone on unlabelled images first, with byol or vicreg.")
]
Weights = Annotated[str | None, typer.Option(help="Local .safetensors or .pth file with weights of the backbone.")]
ImageSize = Annotated[int | None, typer.Option(help="Resize images to this many pixels a side.")]
Steps = Annotated[int | None, typer.Option(help="Optimizer steps of each training.")]
Seeds = Annotated[int, typer.Option(help="Number of seeds to train.")]
Method = Annotated[str, typer.Option(help="auto, or a method listed by `acclimate methods`.")]
Label = Annotated[str | None, typer.Option(help="Column of a table with the classes or numbers to predict.")]
Text = Annotated[str | None, typer.Option(help="Column of a table with text, or several, comma-separated.")]
Image = Annotated[
    str | None, typer.Option(help="Column of a table with paths of images, relative to the table's folder.")
]
Drop = Annotated[str | None, typer.Option(help="Columns of a table to ignore, comma-separated.")]
Augment = Annotated[
    str | None, typer.Option(help="Augmentation of both domains in training: none, flip_crop, trivial or noise.")
]
Precision = Annotated[str | None, typer.Option(help="Numeric precision: 32-true, bf16-mixed, 16-mixed …")]
Devices = Annotated[int, typer.Option(help="Number of processes or GPUs.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the work in the folder -o, if it exists.")]
Positive = Annotated[
    str | None, typer.Option(help="Classes that count as positive together in the AUC, comma-separated.")
]
Tta = Annotated[
    str | None, typer.Option(help="Also score the mean over views: hflip, shift, five_crop, comma-separated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout and all else to stderr.")]
