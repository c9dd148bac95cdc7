"""The main job: two domains in, an adapted model beside its source-only baseline and an honest report out."""

import logging
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from acclimate import backbones, data, methods
from acclimate.data import Domain, preprocess
from acclimate.data.arrays import from_arrays
from acclimate.data.inputs import Inputs
from acclimate.data.preprocess import Preprocess
from acclimate.engine import Diverged
from acclimate.errors import BadInput, did_you_mean, first_line
from acclimate.evaluate import metrics
from acclimate.evaluate.predictor import Run, Said, load_model, say, separates_batch_norm, shape_of
from acclimate.recipe import Place, Recipe, Training, check_options, check_training, parse_settings
from acclimate.report import write_report
from acclimate.report.snippets import keep_snippets
from acclimate.run import FORMAT, RunFolder
from acclimate.training import Job, train
from acclimate.validators.atc import atc
from acclimate.validators.collapse import collapsed

log = logging.getLogger("acclimate")

AUTO_METHOD = "mcc"
"""What ``--method auto`` is until methods are compared without target labels."""
FEATURE_ROWS = 2000
"""Rows of a domain whose features are written with the outputs."""

CONFIDENCE = (
    "average thresholded confidence (arXiv:2201.04234): assumes that confidence means on the target what it means on "
    "the source; the bounds are of sampling alone"
)
RANGE = (
    "average thresholded confidence (arXiv:2201.04234) of the adapted model, which adaptation itself makes confident: "
    "an upper hint; the bounds reach from what the source-only model's confidence says to what the adapted one's says"
)


@dataclass(frozen=True)
class _Domains:
    """What an adaptation works on; ``target`` has no labels."""

    source: Domain
    target: Domain
    scored: Domain | None
    target_labels: Domain | None


def adapt(
    source: Any,
    target: Any,
    output: str | Path | None = None,
    *,
    method: str = "auto",
    backbone: str = "auto",
    steps: int | None = None,
    seeds: int | Sequence[int] = 1,
    label: str | None = None,
    text: str | None = None,
    drop: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    weights: str | None = None,
    image_size: int | None = None,
    precision: str | None = None,
    score: Any = None,
    target_labels: Any = None,
    resume: bool = False,
    devices: int = 1,
    show: bool = False,
) -> Run:
    """Train a classifier on the source, adapt it to the target, and leave a Run.

    The source-only baseline is trained on the same split and stands beside the result. Labels that the target
    happens to have are set aside before anything looks at them.

    Args:
        source: Labelled domain: a path, a `Domain`, or a pair of arrays ``(x, y)``.
        target: Domain to work on: a path, a `Domain`, or an array ``x``.
        output: Folder for the Run; a temporary one by default.
        method: What is minimised; see ``acclimate methods``.
        backbone: ``auto``, ``mnist``, ``svhn``, ``gtsrb``, ``cnn``, ``mlp`` or ``timm:MODEL``.
        steps: Optimizer steps.
        seeds: How many, or which.
        label: Column of a table with the classes.
        text: Column of a table with the text to classify.
        drop: Columns of a table to leave out.
        settings: Options by dotted name: the method's own, ``train.…``, ``backbone.…``.
        weights: A local file with the backbone's weights.
        image_size: Pixels a side that images are brought to.
        precision: ``32-true``, ``bf16-mixed`` …
        score: Labelled target, read after training is over and only for scores.
        target_labels: Labelled target to train on, for the method ``supervised`` alone.
        resume: Go on with the Run in ``output`` if there is one.
        devices: Processes, or GPUs.
        show: Draw progress bars on stderr.

    Raises:
        BadInput: Something only the caller can mend; nothing is left behind.
    """
    began = time.monotonic()
    _check_asked(output, seeds, image_size, devices, resume)
    chosen = AUTO_METHOD if method == "auto" else method
    parsed = parse_settings(settings or {})
    options = check_options(f"method {chosen}", parsed.options, methods.options(chosen))
    given = {"steps": steps, "precision": precision}
    training = check_training({**{k: v for k, v in given.items() if v is not None}, **parsed.train})
    reading = {"label": label, "text": text, "drop": tuple(drop)}
    domains = _read(source, target, score, target_labels, chosen, reading)
    fitted = preprocess.fit(domains.source, domains.target, size=image_size)
    _check_scored(domains, fitted)
    recipe = _recipe(
        domains,
        fitted,
        chosen,
        options,
        backbone,
        parsed.backbone,
        weights,
        training,
        seeds,
        image_size,
        reading,
    )
    folder, made = _open(output, recipe, resume)
    try:
        if not folder.file("environment.json").exists():
            _prepare(folder, recipe, fitted)
        _train_all(folder, fitted, domains, devices, show)
        _score(folder, fitted, domains)
        _note_time(folder, time.monotonic() - began)
        write_report(Run(folder.path))
    except Diverged:
        raise
    except BadInput:
        if made:
            shutil.rmtree(made, ignore_errors=True)
        raise
    return Run.open(folder.path)


def _check_asked(
    output: str | Path | None, seeds: int | Sequence[int], image_size: int | None, devices: int, resume: bool
) -> None:
    """Refuse what needs no look at the data, before any of it is read."""
    if output == "":
        raise BadInput("-o: an empty text is no folder; give one for the Run")
    if output and Path(output).exists() and not resume:
        raise BadInput(f"{output}: exists already; go on with it by --resume, or choose another -o")
    if output and Path(output).exists() and not Path(output).is_dir():
        raise BadInput(f"{output}: is a file, and a Run is a folder; choose another -o")
    if isinstance(seeds, int) and seeds < 1:
        raise BadInput(f"seeds: {seeds} is too few; at least one is needed")
    if not isinstance(seeds, int) and (not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds)):
        raise BadInput(f"seeds: {tuple(seeds)} will not do; give different whole numbers from 0 on")
    if image_size is not None and image_size < 16:
        raise BadInput(f"image size {image_size}: too small for any backbone here; use --image-size 16 or more")
    if devices < 1:
        raise BadInput(f"devices: {devices} is too few; at least one is needed")


def _read(
    source: Any, target: Any, score: Any, target_labels: Any, method: str, reading: Mapping[str, Any]
) -> _Domains:
    here = _domain(source, "source", reading).require_source()
    there = _domain(target, "target", reading)
    if there.labels is not None:
        log.info("%s: its labels are set aside; training does not see them", there.name)
    labelled = methods.get(method).needs == frozenset({"target_labels"})
    if labelled and target_labels is None:
        raise BadInput(f"method {method} trains on labels of the target; give them with --target-labels")
    if target_labels is not None and not labelled:
        raise BadInput(f"method {method} does not read labels of the target; leave --target-labels out")
    domains = _Domains(
        here,
        there.without_labels(),
        None if score is None else _domain(score, "score", reading),
        _domain(target_labels, "target labels", reading) if labelled else None,
    )
    for domain in domains.scored, domains.target_labels:
        if domain is not None:
            domain.codes(here.classes)
    return domains


def _domain(given: Any, name: str, reading: Mapping[str, Any]) -> Domain:
    if isinstance(given, Domain):
        return given
    if isinstance(given, str | Path):
        return data.load(given, **reading, must_have_label=name != "target")
    x, y = given if isinstance(given, tuple) else (given, None)
    return from_arrays(x, y, name=name)


def _check_scored(domains: _Domains, fitted: Preprocess) -> None:
    """Read what will be needed last, so that a mistake in it is told before the training and not after."""
    for domain in domains.scored, domains.target_labels:
        if domain is not None:
            fitted.inputs(domain)


def _recipe(
    domains: _Domains,
    fitted: Preprocess,
    method: str,
    options: dict[str, Any],
    backbone: str,
    backbone_options: dict[str, Any],
    weights: str | None,
    training: Training,
    seeds: int | Sequence[int],
    image_size: int | None,
    reading: Mapping[str, Any],
) -> Recipe:
    """Everything decided: what was asked for, and what suits the data and the backbone for the rest."""
    shape = shape_of(fitted)
    name = backbones.auto(shape) if backbone == "auto" else backbone
    more = {**backbone_options, **({"weights": weights} if weights else {})}
    checked = check_options(f"backbone {name}", more, backbones.options(name))
    built = backbones.build(name, shape, len(domains.source.classes), checked)
    resolved = training.model_copy(update={k: v for k, v in built.training.items() if getattr(training, k) is None})
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    recipe = Recipe(
        source=Place(path=domains.source.name, **reading),
        target=Place(path=domains.target.name, **reading),
        method=method,
        options=options,
        backbone=name,
        backbone_options=checked,
        train=resolved,
        image_size=image_size,
        seeds=chosen,
        classes=domains.source.classes,
    )
    _check_size(name, built.classifier, shape)
    _check_layers(recipe, built.classifier)
    return recipe


@torch.no_grad()
def _check_size(backbone: str, model: Any, shape: backbones.Shape) -> None:
    """Have the model see one empty image, so that a size it cannot take is told before training."""
    if not shape.images:
        return
    try:
        model.eval()(torch.zeros(1, 3, shape.size, shape.size, dtype=torch.uint8), "source")
    except (RuntimeError, ValueError, AssertionError) as error:
        why = first_line(error)
        raise BadInput(
            f"backbone {backbone}: cannot take images of {shape.size} pixels ({why}); choose another --image-size"
        ) from error
    model.train()


def _check_layers(recipe: Recipe, model: Any) -> None:
    """Build the method once, so that an option it cannot take is told before anything is written."""
    try:
        built = methods.get(recipe.method)(model, **recipe.options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"method {recipe.method}: {error}") from error
    known = dict(built.model.backbone.named_modules())
    for layer in built.model.layers:
        if layer not in known:
            names = ["features", "logits", *(n for n in known if n)]
            raise BadInput(f"backbone {recipe.backbone} has no layer {layer!r}; {did_you_mean(layer, names)}")


def _open(output: str | Path | None, recipe: Recipe, resume: bool) -> tuple[RunFolder, Path | None]:
    """The Run's folder, and the uppermost folder that was made for it, if any was."""
    path = Path(output) if output else Path(tempfile.mkdtemp(prefix="acclimate-")) / "run"
    folder = RunFolder(path)
    if path.exists() and any(path.iterdir()):
        _check_resumable(folder, recipe)
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


def _prepare(folder: RunFolder, recipe: Recipe, fitted: Preprocess) -> None:
    folder.write("recipe.yaml", recipe.save)
    folder.write_folder("preprocess", fitted.save)
    packages = ("acclimate", "torch", "lightning-fabric", "timm", "scikit-learn", "numpy", "polars", "skrub")
    folder.write_json(
        "environment.json",
        {
            "format": FORMAT,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
            "versions": {name: metadata.version(name) for name in packages},
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        },
    )


def _note_time(folder: RunFolder, seconds: float) -> None:
    before = folder.environment
    folder.write_json("environment.json", {**before, "seconds": round(before.get("seconds", 0) + seconds, 1)})


def phases(recipe: Recipe) -> tuple[str, ...]:
    """The trainings of one seed: the baseline, then the method unless it is the baseline itself."""
    return ("source_only",) if recipe.method == "source_only" else ("source_only", "adapted")


def split(labels: NDArray[np.int64], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows to validate on, ``share`` of each class; every class keeps a row to train on."""
    rng = np.random.default_rng([seed, 7])
    kept: list[int] = []
    for c in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == c))
        n = min(len(rows) - 1, max(1, round(share * len(rows))))
        kept += rows[:n].tolist()
    if not kept:
        raise BadInput("source: one example of each class is too few; some are kept to validate on")
    validation = np.sort(np.array(kept, dtype=np.int64))
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def _reader(fitted: Preprocess, domains: _Domains, training: Training) -> Callable[[Domain], Inputs]:
    """Makes inputs that together keep no more decoded images than ``training`` allows."""
    there = (domains.source, domains.target, domains.scored, domains.target_labels)
    bytes_a_row = training.cache_mb * 2**20 / sum(len(domain) for domain in there if domain is not None)
    return lambda domain: fitted.inputs(domain, cache_bytes=int(bytes_a_row * len(domain)))


def _train_all(folder: RunFolder, fitted: Preprocess, domains: _Domains, devices: int, show: bool) -> None:
    recipe = folder.recipe
    labels = domains.source.codes(recipe.classes)
    read = _reader(fitted, domains, recipe.train)
    target = read(domains.target)
    shape = shape_of(fitted)
    for seed in recipe.seeds:
        rows, held = split(labels, recipe.train.validation, seed)
        here, validation = read(domains.source.take(rows)), read(domains.source.take(held))
        for phase in phases(recipe):
            if folder.weights(seed, phase).exists():
                continue
            source, truth = here, labels[rows]
            if phase == "adapted" and domains.target_labels is not None:
                source = read(domains.target_labels)
                truth = domains.target_labels.codes(recipe.classes)
            torch.manual_seed(seed)
            built = backbones.build(recipe.backbone, shape, len(recipe.classes), recipe.backbone_options)
            if separates_batch_norm(recipe, phase):
                built.classifier.separate_batch_norm(shared=recipe.train.batch_norm == "separate")
            name, options = (recipe.method, recipe.options) if phase == "adapted" else ("source_only", {})
            train(
                Job(
                    folder, phase, seed, methods.get(name)(built.classifier, **options), recipe.train,
                    source, truth, target, validation, labels[held], devices, show,
                )
            )  # fmt: skip


def _score(folder: RunFolder, fitted: Preprocess, domains: _Domains) -> None:
    """Write what the trained models say of each domain, and the scores; only here are labels of the target read."""
    recipe = folder.recipe
    labels = domains.source.codes(recipe.classes)
    places: dict[str, tuple[Domain, str]] = {"target": (domains.target, "target")}
    if domains.scored is not None:
        places["scored"] = (domains.scored, "target")
    read = _reader(fitted, domains, recipe.train)
    inputs: dict[str, Inputs] = {name: read(domain) for name, (domain, _) in places.items()}
    of_phase: dict[str, dict[str, Any]] = {}
    for phase in phases(recipe):
        parts: dict[str, list[dict[str, float]]] = {"source_val": [], "estimate": [], "target": []}
        for seed in recipe.seeds:
            model = load_model(folder, seed, phase)
            _, held = split(labels, recipe.train.validation, seed)
            validation = domains.source.take(held)
            said = say(model, read(validation), "source")
            _write_outputs(folder, seed, phase, "source_val", validation, said, recipe.classes)
            parts["source_val"].append(metrics.scores(said.probabilities, labels[held]))
            for name, (domain, statistics) in places.items():
                there = say(model, inputs[name], statistics)
                _write_outputs(folder, seed, phase, name, domain, there, recipe.classes)
                if name == "target":
                    estimate = atc(said.probabilities, labels[held], there.probabilities, seed=seed)
                    parts["estimate"].append(estimate._asdict())
                    if phase == "adapted" and seed == recipe.seeds[0]:
                        before = of_phase["source_only"]["source_val"]["accuracy"]
                        of_phase["why"] = {
                            "collapsed": collapsed(parts["source_val"][0]["accuracy"], before, there.probabilities)
                        }
                elif domain.labels is not None:
                    parts["target"].append(metrics.scores(there.probabilities, domain.codes(recipe.classes)))
        of_phase[phase] = _part_scores(parts)
    _, held = split(labels, recipe.train.validation, recipe.seeds[0])
    keep_snippets(folder, "source_val", domains.source.take(held))
    keep_snippets(folder, "target", domains.target)
    _write_scores(folder, recipe, of_phase)


def _part_scores(parts: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    estimate = metrics.mean_over_seeds(parts["estimate"])
    scores: dict[str, Any] = {
        "source_val": metrics.mean_over_seeds(parts["source_val"]),
        "target_estimate": {
            "accuracy": estimate["accuracy"],
            "low": min(e["low"] for e in parts["estimate"]),
            "high": max(e["high"] for e in parts["estimate"]),
            "how": CONFIDENCE,
        },
    }
    if parts["target"]:
        scores["target"] = metrics.mean_over_seeds(parts["target"])
    return scores


def _write_scores(folder: RunFolder, recipe: Recipe, of_phase: Mapping[str, dict[str, Any]]) -> None:
    why = of_phase.get("why", {}).get("collapsed", "")
    adapted = "adapted" in of_phase
    if adapted:
        own, before = (of_phase[p]["target_estimate"] for p in ("adapted", "source_only"))
        own |= {"low": min(own["low"], before["low"]), "high": max(own["high"], before["high"]), "how": RANGE}
    if why:
        log.warning("the adapted model is not kept: %s; the source-only model predicts", why)
    folder.write_json(
        "scores.json",
        {
            **of_phase["adapted" if adapted else "source_only"],
            "kept": "adapted" if adapted and not why else "source_only",
            "why": why,
            "source_only": of_phase["source_only"],
            "seeds": list(recipe.seeds),
        },
    )
    kept = "adapted" if adapted and not why else "source_only"
    folder.write("model.safetensors", lambda path: shutil.copyfile(folder.weights(recipe.seeds[0], kept), path))


def _write_outputs(
    folder: RunFolder, seed: int, phase: str, place: str, domain: Domain, said: Said, classes: Sequence[str]
) -> None:
    rows = np.random.default_rng(0).permutation(len(domain))[:FEATURE_ROWS]
    features: list[list[float] | None] = [None] * len(domain)
    for i in rows:
        features[i] = said.features[i].tolist()
    frame = pl.DataFrame(
        {
            "index": np.arange(len(domain)),
            "name": list(domain.names),
            "predicted": [classes[i] for i in said.probabilities.argmax(1)],
            "probabilities": said.probabilities.astype(np.float32).tolist(),
            "features": pl.Series(features, dtype=pl.List(pl.Float32)),
        }
    )
    if domain.labels is not None:
        frame = frame.with_columns(pl.Series("label", domain.labels.tolist(), dtype=pl.String))
    name = folder.outputs(seed, phase, place).name
    folder.write(f"outputs/{name}", lambda path: frame.write_parquet(path))
