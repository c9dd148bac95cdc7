"""``acclimate demo``."""

from pathlib import Path
from typing import Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import log_to_stderr
from acclimate.errors import BadInput, printable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    folder: Annotated[str, typer.Option(help="Folder for the example and its Run.")] = "demo",
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 500,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds to train.")] = 1,
    json: options.Json = False,
) -> None:
    """Adapt from digits drawn with fonts to handwritten digits."""
    log_to_stderr()
    import sys

    from acclimate.cli.adapt import adapt
    from acclimate.data.demo import write_demo

    if not folder:
        raise BadInput("--folder: the path is empty; use a folder's name")
    source, target, run = map(str, write_demo(Path(folder)))
    more = f" --steps {steps}" + (f" --seeds {seeds}" if seeds > 1 else "")
    sys.stderr.write(printable(f"$ acclimate adapt {source} {target} -o {run} --score {target}{more}\n"))
    adapt(source, target, run, options={"score": target, "steps": steps, "seeds": seeds}, json=json)
