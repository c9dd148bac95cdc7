"""Options that more than one command has, by what they are called."""

from typing import Annotated

import typer

Backbone = Annotated[
    str,
    typer.Option(
        help="auto, mnist, svhn, gtsrb, cnn, mlp, efficientnet_lite0, timm:MODEL, minilm, encoder:FOLDER, fusion, "
        "linear."
    ),
]
Pretrain = Annotated[str | None, typer.Option(help="byol or vicreg: the backbone learns from unlabelled images first.")]
Weights = Annotated[str | None, typer.Option(help="Local .safetensors or .pth for the backbone.")]
ImageSize = Annotated[int | None, typer.Option(help="Pixels a side that images are brought to.")]
Steps = Annotated[int | None, typer.Option(help="Optimizer steps of a training.")]
Seeds = Annotated[int, typer.Option(help="How many seeds to train.")]
Method = Annotated[str, typer.Option(help="auto, or one of `acclimate methods`.")]
Label = Annotated[str | None, typer.Option(help="Column of a table with classes, or numbers to predict.")]
Text = Annotated[str | None, typer.Option(help="Column with the text to learn from, or several by commas.")]
Image = Annotated[str | None, typer.Option(help="Column with paths of the images to learn from, beside the table.")]
Drop = Annotated[str | None, typer.Option(help="Columns of a table to leave out, by commas.")]
Augment = Annotated[str | None, typer.Option(help="In training, of both domains: none, flip_crop, trivial or noise.")]
Precision = Annotated[str | None, typer.Option(help="32-true, bf16-mixed, 16-mixed …")]
Devices = Annotated[int, typer.Option(help="Processes, or GPUs.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the folder -o, if there is one.")]
Positive = Annotated[str | None, typer.Option(help="Classes that are positive together, by commas, for the AUC.")]
Tta = Annotated[
    str | None, typer.Option(help="Score with the mean over views too: hflip, shift, five_crop, by commas.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]
