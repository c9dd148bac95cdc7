"""The main job: two domains in, an adapted model beside its source-only baseline and an honest report out."""

import logging
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Unpack

import torch

from acclimate.contents import Environment
from acclimate.data.several import Sources
from acclimate.data.source import Source
from acclimate.errors import BadInput, explain_access
from acclimate.files import expand
from acclimate.lock import LOCK, Locked, locked
from acclimate.report import write_report
from acclimate.run_folder import FORMAT, PARTIAL, RunFolder
from acclimate.runs.run import Run
from acclimate.training.engine import Diverged
from acclimate.training.launch import in_first_process
from acclimate.workflows.audit import write_audit
from acclimate.workflows.command import command_of
from acclimate.workflows.early import check_early
from acclimate.workflows.options import AdaptKeywords, Request, described_by, parse_request
from acclimate.workflows.plan import Plan, make_plan
from acclimate.workflows.resume import CannotResume, check_same
from acclimate.workflows.scoring import score as score_all
from acclimate.workflows.select_method import select_method
from acclimate.workflows.select_strategy import Begun, Selected, remove_trials, select_strategy
from acclimate.workflows.train_phase import Machine, train_all

log = logging.getLogger("acclimate")

PACKAGES = (
    "acclimate", "torch", "lightning-fabric", "timm", "scikit-learn", "numpy", "polars", "skrub", "openTSNE", "plotly"
)  # fmt: skip
"""Those whose versions a Run notes."""


@described_by(Request)
def adapt(
    source: Sources | RunFolder,
    target: Source,
    output: str | Path | None = None,
    *,
    resume: bool = False,
    show: bool = False,
    **options: Unpack[AdaptKeywords],
) -> Run:
    """Train a classifier, or a regression model, on the source, adapt it to the target, and leave a Run.

    The source-only baseline is trained on the same split and stands beside the result. Labels that the target
    happens to have are set aside before anything looks at them.

    Args:
        source: Labelled domain (see `acclimate.data.source.Source`), or several in a list or as paths separated by
            commas, which are pooled; or a finished Run, its folder or the object, for methods that need no example of
            the source.
        target: Domain to adapt to.
        output: Folder for the Run; a temporary one by default.
        resume: Continue the Run in ``output`` if there is one.
        show: Show progress on stderr: a bar in a terminal, elsewhere a line every 30 seconds.
        **options: See below.

    Returns:
        The finished Run.

    Raises:
        BadInput: Something only the caller can mend. What was written is removed, unless something was trained.
        Diverged: A loss is not finite; the Run stays.
    """
    return Run.open(in_first_process(partial(_adapt, source, target, output, options, resume=resume, show=show)))


def _adapt(
    source: Sources | RunFolder,
    target: Source,
    output: str | Path | None,
    options: AdaptKeywords,
    *,
    resume: bool,
    show: bool,
) -> Path:
    """`adapt`, in the first of several processes; return the Run's folder."""
    began, request = time.monotonic(), parse_request(Request, options)
    output = expand(output) if output else output
    check_early(source, target, output, request, resume=resume)
    plan, machine = make_plan(source, target, request), Machine(request.devices, show)
    run = RunFolder(Path(output) if output else Path(tempfile.mkdtemp(prefix="acclimate-")) / "run")
    _check_run(run)
    with _opened(run, plan, resume=resume):
        selected = select_strategy(plan, request, run.file("trials"), before=_begun(run), machine=machine)
        selected = select_method(selected, request, run, machine=machine)
        check_same(run, selected.plan.recipe)
        _carry_out(run, selected, machine)
        _note(run, time.monotonic() - began, command_of(source, target, output, options))
        if plan.audit is not None:
            write_audit(run, plan.audit)
        write_report(run)
    return run.path


def _carry_out(run: RunFolder, selected: Selected, machine: Machine) -> None:
    """Train all models of a plan that are not there yet, and score them."""
    plan = selected.plan
    _prepare(run, plan)
    if selected.trial and not run.weights(plan.recipe.seeds[0], "source_only").exists():
        _take_baseline(run, selected.trial, plan.recipe.seeds[0])
    remove_trials(run.file("trials"), plan)
    train_all(run, plan, machine)
    log.info("scoring and writing the report")
    score_all(run, plan)


def finish(run: RunFolder, plan: Plan, place: Callable[[], None], *, seconds: float, command: str) -> None:
    """Make a Run of models that are trained already: score and report them.

    Args:
        run: Its folder, which may hold what an interrupted call left.
        plan: That the models were trained by.
        place: Puts weights and losses into the folder.
        seconds: How long the training took.
        command: The command that trains the same Run.
    """
    with _opened(run, plan, resume=True):
        place()
        _carry_out(run, Selected(plan), Machine())
        _note(run, seconds - run.environment.get("seconds", 0), command)
        write_report(run)


@contextmanager
def _opened(run: RunFolder, plan: Plan, *, resume: bool) -> Iterator[None]:
    """Make the folder a Run of this process alone; on bad input remove what was written, unless something was trained.

    Raises:
        Locked: Another process works in the Run.
    """
    resumed = False
    try:
        run.make()
        with explain_access(), locked(run.path):
            if (resumed := run.file("environment.json").exists()) and not resume:
                raise CannotResume(f"{run.path}: exists already; continue it with --resume, or choose another -o")
            run.sweep()
            if resumed:
                _tell_other_bits(run)
            else:  # this file makes a folder a Run, so that a trial of a strategy can be continued
                run.write_json("environment.json", _environment())
            yield
    except (Diverged, CannotResume, Locked):
        raise
    except BadInput as error:
        if resumed or run.has_trained():
            raise BadInput(f"{error.message}; {run.path} keeps what is trained: continue with --resume") from error
        remove_trials(run.file("trials"), plan)
        run.discard_trials()
        run.discard("losses.jsonl")  # which other processes write
        raise


def _check_run(run: RunFolder) -> None:
    """Refuse a folder that is neither a Run nor empty.

    Raises:
        BadInput: It holds something else, a link, or a Run of newer software.
    """
    if not run.path.exists():
        return
    run.check_links()
    if run.file("environment.json").exists():
        run.check_format()
    elif strange := sorted(p.name for p in run.path.iterdir() if p.name != LOCK and not PARTIAL.fullmatch(p.name)):
        why = f"not an Acclimate Run (contains {strange[0]!r})"
        raise BadInput(f"{run.path}: cannot resume: {why}; choose another -o")


def _begun(run: RunFolder) -> Begun | None:
    """The strategy that a Run has settled on; none before its recipe is written."""
    if not run.file("recipe.yaml").exists():
        return None
    return {"finetune": run.recipe.finetune, "tried": run.recipe.tried}


def _prepare(folder: RunFolder, plan: Plan) -> None:
    """Write what is known before training, unless it is there; a Run that is continued may be scored on other data."""
    if not folder.file("recipe.yaml").exists() or folder.recipe.score != plan.recipe.score:
        folder.write_recipe(plan.recipe)
    folder.write_folder("preprocess", plan.fitted.save)
    if plan.origin:
        _take_over(folder, plan.origin, plan.recipe.seeds)


def _environment() -> Environment:
    return {
        "format": FORMAT,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _tell_other_bits(run: RunFolder) -> None:
    """Warn if what is left to train comes out otherwise than it would have where the Run began."""
    if run.file("scores.json").exists():
        return
    began, now = _decides_bits(run.environment), _decides_bits(_environment())
    if changed := [f"{name} {now[name]} (before: {old})" for name, old in began.items() if now.get(name, old) != old]:
        told = "the weights may differ in their last bits from those of one go"
        log.warning("%s: continues with %s; %s", run.path, ", ".join(changed), told)


def _decides_bits(environment: Environment) -> dict[str, str]:
    """What weights depend on to the bit; less is known of a Run of an earlier version."""
    versions = environment.get("versions", {})
    packages = {name: version for name, version in versions.items() if name not in {"plotly", "openTSNE"}}
    return packages | ({"threads": str(environment["threads"])} if "threads" in environment else {})


def _take_baseline(folder: RunFolder, trial: RunFolder, seed: int) -> None:
    """Copy the first seed's baseline from the try of its strategy: it is the same training."""
    for name in "losses.jsonl", f"models/{trial.weights(seed, 'source_only').name}":
        folder.write(name, partial(shutil.copyfile, trial.file(name)))


def _take_over(folder: RunFolder, origin: RunFolder, seeds: Sequence[int]) -> None:
    """Copy what a finished Run knows of its source: the source-only models and their outputs for held-out examples."""
    files = [path for seed in seeds for path in (origin.weights(seed, "source_only"),
             origin.outputs(seed, "source_only", "source_val"))]  # fmt: skip
    for path in [*files, *origin.file("outputs").glob("snippets-source_val.parquet")]:
        if not path.is_file():
            raise BadInput(f"{path}: is missing; a training cannot start from this Run without it")
        if not folder.file(name := str(path.relative_to(origin.path))).exists():
            folder.write(name, partial(shutil.copyfile, path))


def _note(folder: RunFolder, seconds: float, command: str) -> None:
    """Note how long it took, together with what was done before an interruption, and the command."""
    before = folder.environment
    seconds = round(before.get("seconds", 0) + seconds, 1)
    folder.write_json("environment.json", {**before, "format": FORMAT, "seconds": seconds, "command": command})
