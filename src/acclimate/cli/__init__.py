"""The command line: it translates, the library does. Each command is one file: parse, call, print."""

import importlib
import pkgutil
import sys

import typer

app = typer.Typer(
    name="acclimate",
    help="Domain adaptation that says honestly how well it works.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    from acclimate.errors import BadInput

    for module in pkgutil.iter_modules(__path__):
        if module.name != "output":
            importlib.import_module(f"{__name__}.{module.name}").register(app)
    try:
        app()
    except BadInput as error:
        sys.stderr.write(f"acclimate: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
