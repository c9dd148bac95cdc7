"""The command line. Each command is one file that parses its arguments, calls the library and prints the result."""

import importlib
import pkgutil
import sys
from collections.abc import Collection
from typing import Annotated, Any, cast

import typer

from acclimate.cli.help import GroupedCommand
from acclimate.cli.output import write_line
from acclimate.errors import BadInput, FirstProcessFailed, Stopped, did_you_mean, no_access

_UsageError = cast("type[Exception]", typer.BadParameter.__base__)  # typer does not export it


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    app = _app()
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="acclimate", standalone_mode=False)
    except BadInput as error:
        _exit("" if isinstance(error.__cause__, FirstProcessFailed) else error.message, 2)
    except _UsageError as error:
        _exit(_usage_message(error), 2)
    except Stopped as stopped:
        _exit(str(stopped), 130)
    except (KeyboardInterrupt, typer.Abort):
        _exit("stopped", 130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        _exit("" if isinstance(error.__cause__, FirstProcessFailed) else no_access(error).message, 2)
    if code == 130:
        _exit("stopped", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _app() -> typer.Typer:
    app = typer.Typer(
        name="acclimate",
        help="Domain adaptation with an honest report of how well it works.",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name in _commands():
        importlib.import_module(f"{__name__}.{name}").register(app)
    for command in app.registered_commands:
        command.cls = GroupedCommand
    app.callback()(_options)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"acclimate {importlib.import_module('acclimate').__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def _commands() -> list[str]:
    return [m.name for m in pkgutil.iter_modules(__path__) if m.name not in {"begin", "help", "options", "output"}]


def _exit(message: str, code: int) -> None:
    if message:
        write_line(message)
    sys.exit(code)


def _usage_message(error: Any) -> str:
    """Return a usage error as one line that suggests the nearest command or option."""
    command = f" {error.ctx.info_name}" if error.ctx and error.ctx.parent else ""
    message = str(error.format_message()).rstrip(".")
    if message.startswith("No such command"):
        word = message.split("'")[1]
        return f"no command {word!r}; {did_you_mean(word, _commands())}"
    if command and message.startswith("No such option"):
        known = [o for parameter in error.ctx.command.params for o in parameter.opts if o.startswith("-")]
        meant = _setting(error.option_name, known) if "--set" in known else ""
        return f"{command.strip()} has no option {error.option_name}; {meant or did_you_mean(error.option_name, known)}"
    return f"{message[0].lower()}{message[1:]}; see acclimate{command} --help"


def _setting(flag: str, known: Collection[str]) -> str:
    """The end of a message about a flag that is a setting of the training; empty if it is none."""
    from acclimate.recipe import setting_meant

    setting = setting_meant(flag.lstrip("-").replace("-", "_"))
    own = setting.replace("train.", "--")
    meant = own if own in known else f"--set {setting}=…"
    return f"did you mean {meant}?" if setting else ""
