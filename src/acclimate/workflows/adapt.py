"""The main job: two domains in, an adapted model beside its source-only baseline and an honest report out."""

import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from acclimate.errors import BadInput
from acclimate.recipe import Recipe
from acclimate.report import write_report
from acclimate.run_folder import FORMAT, PARTIAL, RunFolder
from acclimate.runs.run import Run
from acclimate.training.engine import Diverged
from acclimate.workflows.plan import Plan, make_plan
from acclimate.workflows.plan.request import Request, check_request
from acclimate.workflows.scoring import score as score_all
from acclimate.workflows.select_strategy import Selected, select_strategy
from acclimate.workflows.train_phase import Machine, train_phase

PACKAGES = (
    "acclimate", "torch", "lightning-fabric", "timm", "scikit-learn", "numpy", "polars", "skrub", "openTSNE", "plotly"
)  # fmt: skip
"""Those whose versions a Run notes."""


def adapt(
    source: Any,
    target: Any,
    output: str | Path | None = None,
    *,
    method: str = "auto",
    pretrain: str | None = None,
    finetune: str = "auto",
    backbone: str = "auto",
    steps: int | None = None,
    seeds: int | Sequence[int] = 1,
    label: str | None = None,
    text: str | None = None,
    image: str | None = None,
    drop: Sequence[str] = (),
    task: str = "auto",
    settings: Mapping[str, Any] | None = None,
    weights: str | None = None,
    image_size: int | None = None,
    precision: str | None = None,
    augment: str | None = None,
    score: Any = None,
    positive: Sequence[str] = (),
    tta: Sequence[str] = (),
    target_labels: Any = None,
    resume: bool = False,
    devices: int = 1,
    show: bool = False,
) -> Run:
    """Train a classifier, or a model of numbers, on the source, adapt it to the target, and leave a Run.

    The source-only baseline is trained on the same split and stands beside the result. Labels that the target
    happens to have are set aside before anything looks at them.

    Args:
        source: Labelled domain: a path, a `Domain`, or a pair of arrays ``(x, y)``; or a finished Run (its folder,
            or the object) for the methods that need no example of the source.
        target: Domain to work on: a path, a `Domain`, or an array ``x``.
        output: Folder for the Run; a temporary one by default.
        method: What is minimised; see ``acclimate methods``.
        pretrain: What the backbone learns from unlabelled images first: ``byol`` or ``vicreg``. The baseline does not.
        finetune: Which weights move, when and how fast: ``full``, ``feature_extraction``, ``partial``, ``llrd``,
            ``gradual``, ``lp_ft`` or ``lora``; ``auto`` tries those that `select_strategy.RUNGS` names on a pretrained
            backbone, the simplest first, and is ``full`` for any other.
        backbone: ``auto``, ``mnist``, ``svhn``, ``gtsrb``, ``cnn``, ``mlp``, ``efficientnet_lite0`` or ``timm:MODEL``;
            of text ``minilm`` or ``encoder:FOLDER``; of images with
            texts ``fusion``; ``linear`` is what shallow methods stand before.
        steps: Optimizer steps.
        seeds: How many, or which.
        label: Column of a table with the classes, or the numbers to predict.
        text: Column of a table with the text to learn from, or several by commas.
        image: Column of a table with paths of the images to learn from, which begin at the table's folder; with
            ``text`` one model learns from both.
        drop: Columns of a table to leave out.
        task: ``classification``, ``regression``, or ``auto``: regression if the labels are numbers with fractions, or
            numbers about as many as examples.
        settings: Options by dotted name: the method's own, ``train.…``, ``pretrain.…``, ``finetune.…``, ``backbone.…``,
            ``augment.…``.
        weights: A local file with the backbone's weights.
        image_size: Pixels a side that images are brought to.
        precision: ``32-true``, ``bf16-mixed`` …
        augment: What is done to the examples of both domains in training: ``none``, ``flip_crop``, ``trivial``,
            ``noise``; of one alone by the settings ``augment.source`` and ``augment.target``.
        score: Labelled target, read after training is over and only for scores.
        positive: Classes that are positive together, for the AUC; without them it is that of each against the rest.
        tta: Views of each image that answers are averaged over, for scores beside the plain ones: ``hflip``,
            ``shift``, ``five_crop``.
        target_labels: Labelled target to train on, given on purpose: with the source by a method that learns from
            labels of the source, alone by ``supervised``.
        resume: Go on with the Run in ``output`` if there is one.
        devices: Processes, or GPUs.
        show: Draw progress bars on stderr.

    Raises:
        BadInput: Something only the caller can mend; nothing is left behind.
    """
    began = time.monotonic()
    check_request(output, seeds, image_size, devices, resume)
    asked = Request(
        method=method, pretrain=pretrain, finetune=finetune, backbone=backbone, steps=steps, seeds=seeds, label=label,
        text=text, image=image, drop=drop, task=task, settings=settings, weights=weights, image_size=image_size,
        precision=precision, augment=augment, score=score, positive=positive, tta=tta, target_labels=target_labels,
        devices=devices,
    )  # fmt: skip
    plan, machine = make_plan(source, target, asked), Machine(devices, show)
    with tempfile.TemporaryDirectory(prefix="acclimate-") as trials:
        selected = select_strategy(plan, asked, Path(trials), before=_begun(output), machine=machine)
        run = _open(output, selected.plan.recipe)
        with _kept_once_trained(run):
            _carry_out(run, selected, machine)
            _note_time(run, time.monotonic() - began)
            write_report(run)
    return Run.open(run.path)


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
            raise BadInput(f"{error}; {run.path} keeps what is trained: continue with --resume") from error
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


def _begun(output: str | Path | None) -> Mapping[str, Any] | None:
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
        return {name: getattr(folder.recipe, name) for name in ("finetune", "tried")}
    if strange := sorted(p.name for p in folder.path.iterdir() if not PARTIAL.fullmatch(p.name)):
        why = f"not an Acclimate Run (contains {strange[0]!r})"
        raise BadInput(f"{folder.path}: cannot resume: {why}; choose another -o")
    return None


def _check_same(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse to go on with another Run."""
    if not folder.file("recipe.yaml").exists():
        return
    if differing := [k for k, v in recipe if v != getattr(folder.recipe, k)]:
        raise BadInput(f"{folder.path}: was made with another {differing[0]}; ask for the same, or choose another -o")


def _prepare(folder: RunFolder, plan: Plan) -> None:
    """Write what is known before training, unless it is there; the environment first, since it makes a folder a Run."""
    if not folder.file("environment.json").exists():
        folder.write_json("environment.json", _environment())
    if not folder.file("recipe.yaml").exists():
        folder.write("recipe.yaml", plan.recipe.save)
    folder.write_folder("preprocess", plan.fitted.save)
    if plan.origin:
        _take_over(folder, plan.origin, plan.recipe.seeds)


def _environment() -> dict[str, Any]:
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
    """Copy the first seed's baseline from where its rung was tried: it is the same training."""
    for name in "losses.jsonl", f"models/{trial.weights(seed, 'source_only').name}":
        folder.write(name, partial(shutil.copyfile, trial.file(name)))


def _take_over(folder: RunFolder, origin: RunFolder, seeds: Sequence[int]) -> None:
    """Copy what a finished Run knows of its source: the source-only models and what they said of held-out examples."""
    files = [path for seed in seeds for path in (origin.weights(seed, "source_only"),
             origin.outputs(seed, "source_only", "source_val"))]  # fmt: skip
    for path in [*files, *origin.file("outputs").glob("snippets-source_val.parquet")]:
        if not path.is_file():
            raise BadInput(f"{path}: is missing; the Run cannot be started from without it")
        if not folder.file(name := str(path.relative_to(origin.path))).exists():
            folder.write(name, partial(shutil.copyfile, path))


def _note_time(folder: RunFolder, seconds: float) -> None:
    before = folder.environment
    folder.write_json("environment.json", {**before, "seconds": round(before.get("seconds", 0) + seconds, 1)})
