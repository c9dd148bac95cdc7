"""``acclimate monitor``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acclimate.cli import options
from acclimate.cli.output import import_modules, log_to_stderr, print_result
from acclimate.cli.predict import check_page
from acclimate.data import require_path
from acclimate.errors import BadInput, printable
from acclimate.files import expand

if TYPE_CHECKING:
    from acclimate.shift.stream.alarms import Alarm
    from acclimate.workflows.keep_up import Adapting, Attempt
    from acclimate.workflows.options import AdaptKeywords


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(monitor)


def monitor(
    run: Annotated[str, typer.Argument(help="A finished Run.")],
    stream: Annotated[
        str | None, typer.Argument(help="A table, folder or array file, which may grow; - for JSON lines on stdin.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column with labels that come late; it may be empty.")] = None,
    reference: Annotated[str | None, typer.Option(help="Examples that count as usual.")] = None,
    every: Annotated[int, typer.Option(help="Rows of a window.")] = 500,
    tolerance: Annotated[float, typer.Option(help="Effect that is no alarm, in standard deviations.")] = 0.2,
    detector: Annotated[
        str, typer.Option(help="What watches errors: adwin, ddm, hddm_a, hddm_w or page_hinkley.")
    ] = "adwin",
    state: Annotated[str | None, typer.Option(help="File to continue from, and to keep the state in.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more of a file or folder until Ctrl-C.")] = False,
    on_alarm: Annotated[
        str | None, typer.Option(help="adapt: make a new Run beside this one, and use it if the guard finds it better.")
    ] = None,
    recent: Annotated[int, typer.Option(help="Rows from which --on-alarm adapt makes the new Run.")] = 1000,
    replay: Annotated[int, typer.Option(help="Labelled rows from before the alarm that it learns from, too.")] = 0,
    method: Annotated[str | None, typer.Option(help="Its method; the Run's own by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Its optimizer steps; as many as the Run's by default.")] = None,
    current: Annotated[bool, typer.Option("--current", help="Only print the Run that is in use now.")] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Return to the Run that was in use before, and print it.")
    ] = False,
    output: options.Page = None,
    overwrite: options.Overwrite = False,
    modules: options.Import = None,
    json: options.Json = False,
) -> None:
    """Watch a stream, and raise an alarm where it moves away from what a Run was adapted to.

    Exits with 1 if there is an alarm.
    """
    log_to_stderr()
    import_modules(modules)
    if current or rollback:
        _print_run(run, back=rollback, as_json=json)
        return
    if stream is None:
        raise BadInput("STREAM: is missing; give a file or folder, or - for JSON lines on stdin")
    page = _check(run, stream, output, overwrite=overwrite)
    if reference is not None:
        require_path(reference)
    from acclimate.workflows.monitor import monitor as monitor_

    found = monitor_(
        run, sys.stdin if stream == "-" else stream, every=every, label=label, detector=detector, tolerance=tolerance,
        reference=reference, state=expand(state) if state else None, page=page, follow=follow,
        on_alarm=_adapting(on_alarm, recent, replay, _training(method, steps)), tell=None if json else _tell,
    )  # fmt: skip
    told = [f"Adapt: {found.command}"] * bool(found.command) + [found.summary] + [f"Page: {page}"] * bool(page)
    print_result("\n".join(told), {**found.to_dict(), "page": str(page) if page else None}, as_json=json)
    if found.alarms:
        raise typer.Exit(1)


def _training(method: str | None, steps: int | None) -> "AdaptKeywords":
    """The options of a new Run that are given."""
    given: AdaptKeywords = {}
    if method is not None:
        given["method"] = method
    if steps is not None:
        given["steps"] = steps
    return given


def _adapting(on_alarm: str | None, recent: int, replay: int, given: "AdaptKeywords") -> "Adapting | None":
    from acclimate.workflows.keep_up import Adapting

    if on_alarm is None:
        if given:
            raise BadInput(f"--{next(iter(given))}: has no effect without --on-alarm adapt; omit it")
        return None
    if on_alarm != "adapt":
        raise BadInput(f"--on-alarm {on_alarm}: unknown; the only choice is adapt")
    return Adapting(recent, replay, given)


def _print_run(run: str, *, back: bool, as_json: bool) -> None:
    """Print the Run that is in use, after a step back if wanted."""
    from acclimate.run_folder import RunFolder

    RunFolder.open(run)
    from acclimate.workflows.keep_up import current, rollback

    found = str(rollback(run) if back else current(run))
    print_result(found, {"run": found}, as_json=as_json)


def _tell(told: "Alarm | Attempt") -> None:
    sys.stdout.write(f"{printable(str(told))}\n")
    sys.stdout.flush()


def _check(run: str, stream: str, output: str | None, *, overwrite: bool) -> Path | None:
    """Check all paths before anything that takes time to import, and return that of the page."""
    from acclimate.run_folder import RunFolder

    RunFolder.open(run)
    if stream != "-":
        require_path(stream)
    return check_page(output, [run if stream == "-" else stream], run=run, overwrite=overwrite)
