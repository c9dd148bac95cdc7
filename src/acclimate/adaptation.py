"""The main job: two domains in, an adapted model beside its source-only baseline and an honest report out."""

import platform
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from acclimate import finetune, methods
from acclimate.data.inputs import JoinedInputs, joined
from acclimate.data.labels import truth
from acclimate.engine import Diverged
from acclimate.errors import BadInput
from acclimate.evaluate.predictor import Run
from acclimate.features import Features, stand_for
from acclimate.finetune import FROZEN, Layer
from acclimate.fitting import fit as fit_linear
from acclimate.methods import selfsup
from acclimate.plan import Asked, Plan, check_asked, make_plan, no_examples
from acclimate.recipe import Options, Pretraining, Recipe
from acclimate.report import write_report
from acclimate.run import FORMAT, RunFolder
from acclimate.scoring import score as score_all
from acclimate.training import Job, train

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
            ``gradual``, ``lp_ft`` or ``lora``; ``auto`` is ``full``.
        backbone: ``auto``, ``mnist``, ``svhn``, ``gtsrb``, ``cnn``, ``mlp``, ``efficientnet_lite0`` or ``timm:MODEL``;
            of text ``minilm`` or ``encoder:FOLDER``; of images with
            texts ``fusion``; ``linear`` is what shallow methods stand before.
        steps: Optimizer steps.
        seeds: How many, or which.
        label: Column of a table with the classes, or the numbers to predict.
        text: Column of a table with the text to learn from.
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
    check_asked(output, seeds, image_size, devices, resume)
    asked = Asked(
        method=method, pretrain=pretrain, finetune=finetune, backbone=backbone, steps=steps, seeds=seeds, label=label,
        text=text, image=image, drop=drop, task=task, settings=settings, weights=weights, image_size=image_size,
        precision=precision, augment=augment, score=score, positive=positive, tta=tta, target_labels=target_labels,
    )  # fmt: skip
    plan = make_plan(source, target, asked)
    run, made = _open(output, plan.recipe, resume)
    try:
        if not run.file("environment.json").exists():
            _prepare(run, plan)
        for seed in plan.recipe.seeds:
            _train(run, plan, seed, devices, show)
        score_all(run, plan)
        _note_time(run, time.monotonic() - began)
        write_report(run)
    except Diverged:
        raise
    except BadInput:
        if made:
            shutil.rmtree(made, ignore_errors=True)
        raise
    return Run.open(run.path)


def _train(run: RunFolder, plan: Plan, seed: int, devices: int, show: bool) -> None:
    """Train the baseline and the method of one seed on the same split, unless their weights are there."""
    for phase in plan.recipe.trainings:
        if not run.weights(seed, phase).exists():
            train_phase(run, plan, seed, phase, devices=devices, show=show)


def train_phase(run: RunFolder, plan: Plan, seed: int, phase: str, *, devices: int = 1, show: bool = False) -> None:
    """Train one model of a plan and leave its weights in the Run.

    Args:
        run: Whose folder takes them; it has those of the phases that this one goes on from.
        plan: What was decided.
        seed: One of the recipe's.
        phase: One of the recipe's ``trainings``.
        devices: Processes, or GPUs.
        show: Draw progress bars on stderr.
    """
    if not plan.recipe.trains_a_network:
        _fit(run, plan, seed, phase)
    elif phase == "pretrained" and plan.recipe.pretrain:
        train(_pretraining(run, plan, plan.recipe.pretrain, seed, devices, show))
    else:
        train(_training(run, plan, seed, phase, devices, show))


def _what(recipe: Recipe, phase: str) -> tuple[str, Options]:
    """The method of a phase, and its options: the baseline's are the defaults."""
    asked = phase == "adapted" or recipe.method == "source_only"
    return (recipe.method, recipe.options) if asked else ("source_only", {})


def _fit(run: RunFolder, plan: Plan, seed: int, phase: str) -> None:
    name, options = _what(plan.recipe, phase)
    source = plan.labelled(seed, plan.read)
    fit_linear(
        run, seed, phase, source.inputs, source.labels, plan.read(plan.target),
        method=name, options=options, estimator=plan.recipe.backbone_options, task=plan.recipe.task,
    )  # fmt: skip


def _training(run: RunFolder, plan: Plan, seed: int, phase: str, devices: int, show: bool) -> Job:
    """The training of one seed's baseline, or of the method."""
    recipe, (name, options) = plan.recipe, _what(plan.recipe, phase)
    torch.manual_seed(seed)
    learnt = load_file(run.weights(seed, "pretrained")) if phase == "adapted" and recipe.pretrain else None
    kind, model = methods.get(name), finetune.classifier(recipe, phase, plan.shape, learnt=learnt)
    if kind.starts_from:
        model.load_state_dict(load_file(run.weights(seed, kind.starts_from)))
    layers = finetune.layers(model, recipe.finetune, recipe.finetune_options)
    method, read, below = kind(model, **options), plan.read, {}
    if stand_for(recipe, method):
        read, method.model = Features(model, plan.read), model.on_features()
        layers, above = [Layer((), FROZEN)], method.model.state_dict()
        below = {k: v for k, v in model.state_dict().items() if k not in above}
    source = plan.labelled(seed, read)
    here, known, from_target = source.inputs, source.labels, 0
    if phase == "adapted" and plan.target_labels is not None:
        theirs, said = read(*plan.target_labels), truth(plan.target_labels.domain, recipe)
        if "source" in method.needs:
            here, known, from_target = joined(here, theirs), np.concatenate([known, said]), len(said)
        else:
            here, known = theirs, said
    return Job(
        run, phase, seed, method, recipe.train, here, known, read(plan.target),
        source.validation, source.validation_labels, devices, show, layers, recipe.finetune, below,
        recipe.augment, from_target,
    )  # fmt: skip


def _pretraining(run: RunFolder, plan: Plan, asked: Pretraining, seed: int, devices: int, show: bool) -> Job:
    """The training of one seed's backbone without labels, from the weights the baseline starts from."""
    source, target = plan.labelled(seed, plan.read), plan.read(plan.target)
    rows = {"target": target, "source": source.inputs, "both": JoinedInputs(source.inputs, target)}[asked.on]
    torch.manual_seed(seed)
    model = finetune.classifier(plan.recipe, "pretrained", plan.shape)
    method = selfsup.get(asked.method)(model, **asked.options)
    none = no_examples()
    return Job(
        run, "pretrained", seed, method, asked.train, none.inputs, none.labels, rows,
        none.validation, none.validation_labels, devices, show,
    )  # fmt: skip


def _open(output: str | Path | None, recipe: Recipe, resume: bool) -> tuple[RunFolder, Path | None]:
    """The Run's folder, and the uppermost folder that was made for it, if any was."""
    path = Path(output) if output else Path(tempfile.mkdtemp(prefix="acclimate-")) / "run"
    folder = RunFolder(path)
    if path.exists() and any(path.iterdir()):
        _check_resumable(folder, recipe)
        folder.sweep()
        return folder, None
    made = next((p for p in (*reversed(path.parents), path) if not p.exists()), None)
    with folder.saying_why(path):
        path.mkdir(parents=True, exist_ok=True)
    return folder, made


def _check_resumable(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse to go on with what is no Run, or another one; one that was cut off at its very start begins anew."""
    begun = {p.name for p in folder.path.iterdir() if not p.name.endswith(".partial")}
    if not folder.file("environment.json").exists():
        if strange := sorted(begun - {"recipe.yaml", "preprocess"}):
            raise BadInput(f"{folder.path}: is no Run to go on with (it has {strange[0]}); choose another -o")
        return
    folder.check_format()
    if differing := [k for k, v in recipe if v != getattr(folder.recipe, k)]:
        raise BadInput(f"{folder.path}: was made with another {differing[0]}; ask for the same, or choose another -o")


def _prepare(folder: RunFolder, plan: Plan) -> None:
    folder.write("recipe.yaml", plan.recipe.save)
    if plan.origin:
        _take_over(folder, plan.origin, plan.recipe.seeds)
    folder.write_folder("preprocess", plan.fitted.save)
    folder.write_json(
        "environment.json",
        {
            "format": FORMAT,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        },
    )


def _take_over(folder: RunFolder, origin: RunFolder, seeds: Sequence[int]) -> None:
    """Copy what a finished Run knows of its source: the source-only models and what they said of held-out examples."""
    files = [path for seed in seeds for path in (origin.weights(seed, "source_only"),
             origin.outputs(seed, "source_only", "source_val"))]  # fmt: skip
    for path in [*files, *origin.file("outputs").glob("snippets-source_val.parquet")]:
        if not path.is_file():
            raise BadInput(f"{path}: is missing; the Run cannot be started from without it")
        folder.write(str(path.relative_to(origin.path)), partial(shutil.copyfile, path))


def _note_time(folder: RunFolder, seconds: float) -> None:
    before = folder.environment
    folder.write_json("environment.json", {**before, "seconds": round(before.get("seconds", 0) + seconds, 1)})
