"""The main job: two domains in, an adapted model beside its source-only baseline and an honest report out."""

import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Unpack

import torch

from acclimate.contents import Environment
from acclimate.data.source import Source
from acclimate.errors import BadInput
from acclimate.recipe import Recipe
from acclimate.report import write_report
from acclimate.run_folder import FORMAT, PARTIAL, RunFolder
from acclimate.runs.run import Run
from acclimate.training.engine import Diverged
from acclimate.training.launch import in_first_process
from acclimate.workflows.options import AdaptKeywords, Request, described_by, parse_request
from acclimate.workflows.plan import Plan, make_plan
from acclimate.workflows.plan.checks import check_request
from acclimate.workflows.scoring import score as score_all
from acclimate.workflows.select_strategy import Begun, Selected, select_strategy
from acclimate.workflows.train_phase import Machine, train_phase

PACKAGES = (
    "acclimate", "torch", "lightning-fabric", "timm", "scikit-learn", "numpy", "polars", "skrub", "openTSNE", "plotly"
)  # fmt: skip
"""Those whose versions a Run notes."""


@described_by(Request)
def adapt(
    source: Source | RunFolder,
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
        source: Labelled domain (see `acclimate.data.source.Source`); or a finished Run, its folder or the object, for
            methods that need no example of the source.
        target: Domain to adapt to.
        output: Folder for the Run; a temporary one by default.
        resume: Continue the Run in ``output`` if there is one.
        show: Draw progress bars on stderr.
        **options: See below.

    Returns:
        The finished Run.

    Raises:
        BadInput: Something only the caller can mend. What was written is removed, unless something was trained.
        Diverged: A loss is not finite; the Run stays.
    """
    return Run.open(in_first_process(partial(_adapt, source, target, output, options, resume=resume, show=show)))


def _adapt(
    source: Source | RunFolder,
    target: Source,
    output: str | Path | None,
    options: AdaptKeywords,
    *,
    resume: bool,
    show: bool,
) -> Path:
    """`adapt`, in the first of several processes; return the Run's folder."""
    began, request = time.monotonic(), parse_request(Request, options)
    check_request(request, output, resume=resume)
    plan, machine = make_plan(source, target, request), Machine(request.devices, show)
    with tempfile.TemporaryDirectory(prefix="acclimate-") as trials:
        selected = select_strategy(plan, request, Path(trials), before=_begun(output), machine=machine)
        run = _open(output, selected.plan.recipe)
        with _kept_once_trained(run):
            _carry_out(run, selected, machine)
            _note_time(run, time.monotonic() - began)
            write_report(run)
    return run.path


def _carry_out(run: RunFolder, selected: Selected, machine: Machine) -> None:
    """Train all models of a plan that are not there yet, and score them."""
    plan = selected.plan
    _prepare(run, plan)
    if selected.trial and not run.weights(plan.recipe.seeds[0], "source_only").exists():
        _take_baseline(run, selected.trial, plan.recipe.seeds[0])
    for seed in plan.recipe.seeds:
        _train(run, plan, seed, machine)
    score_all(run, plan)


def _train(run: RunFolder, plan: Plan, seed: int, machine: Machine) -> None:
    """Train the baseline and the method of one seed on the same split, unless their weights are there."""
    for phase in plan.recipe.trainings:
        if not run.weights(seed, phase).exists():
            train_phase(run, plan, seed, phase, machine)


@contextmanager
def _kept_once_trained(run: RunFolder) -> Iterator[None]:
    """On bad input remove what was written, unless something was trained: then the Run stays and can be resumed."""
    resumed = run.file("environment.json").exists()
    try:
        yield
    except Diverged:
        raise
    except BadInput as error:
        if resumed or run.has_trained():
            raise BadInput(f"{error.message}; {run.path} keeps what is trained: continue with --resume") from error
        run.discard("losses.jsonl")  # which other processes write
        raise


def _open(output: str | Path | None, recipe: Recipe) -> RunFolder:
    """The Run's folder; one that is to be resumed must be of the same recipe."""
    folder = RunFolder(Path(output) if output else Path(tempfile.mkdtemp(prefix="acclimate-")) / "run")
    folder.check_links()
    if folder.file("environment.json").exists():
        _check_same(folder, recipe)
        folder.sweep()
    folder.make()
    return folder


def _begun(output: str | Path | None) -> Begun | None:
    """What a Run that is resumed has found already; one that was killed before its recipe was written begins anew.

    Raises:
        BadInput: The folder is not a Run's.
    """
    if output is None or not Path(output).exists():
        return None
    folder = RunFolder(Path(output))
    if folder.file("environment.json").exists():
        folder.check_format()
        if not folder.file("recipe.yaml").exists():
            return None
        return {"finetune": folder.recipe.finetune, "tried": folder.recipe.tried}
    if strange := sorted(p.name for p in folder.path.iterdir() if not PARTIAL.fullmatch(p.name)):
        why = f"not an Acclimate Run (contains {strange[0]!r})"
        raise BadInput(f"{folder.path}: cannot resume: {why}; choose another -o")
    return None


def _check_same(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse to resume a Run of another recipe."""
    if not folder.file("recipe.yaml").exists():
        return
    if differing := [k for k, v in recipe if v != getattr(folder.recipe, k)]:
        raise BadInput(f"{folder.path}: was made with another {differing[0]}; use the same, or choose another -o")


def _prepare(folder: RunFolder, plan: Plan) -> None:
    """Write what is known before training, unless it is there; the environment first, since it makes a folder a Run."""
    if not folder.file("environment.json").exists():
        folder.write_json("environment.json", _environment())
    if not folder.file("recipe.yaml").exists():
        folder.write("recipe.yaml", plan.recipe.save)
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


def _note_time(folder: RunFolder, seconds: float) -> None:
    before = folder.environment
    folder.write_json("environment.json", {**before, "seconds": round(before.get("seconds", 0) + seconds, 1)})
