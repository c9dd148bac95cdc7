"""What the trained models say of each domain, and how right they are: outputs and scores of a Run."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from acclimate import metrics
from acclimate.augment import tta
from acclimate.augment.augmentation import AUGMENTATIONS
from acclimate.data import Domain
from acclimate.data.domain import Part
from acclimate.data.inputs import DenseInputs, Inputs
from acclimate.nn import Classifier
from acclimate.nn import Domain as Where
from acclimate.nn.replicas import WHOLE
from acclimate.run_folder import RunFolder
from acclimate.runs.run import Said, load_model, mean_answer, say
from acclimate.runs.snippets import STRIP, keep_snippets, keep_strip
from acclimate.training.features import Features, features, frozen
from acclimate.validators.atc import atc
from acclimate.validators.collapse import collapsed, flattened
from acclimate.workflows.plan import Plan

log = logging.getLogger("acclimate")

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
WITHOUT_SOURCE = (
    "average thresholded confidence (arXiv:2201.04234) of the adapted model, above the source-only model's threshold, "
    "since no example of the source is at hand: an upper hint; the bounds reach from what the source-only model's "
    "confidence says to what the adapted one's says"
)


def score(run: RunFolder, plan: Plan) -> None:
    """Write outputs, ``scores.json`` and the model that is kept; only here may labels of the target be read."""
    scored = plan.score() if plan.score else None
    for seed in plan.recipe.seeds:
        parts = {"target": Part(plan.target)}
        if plan.source is not None:
            parts["source_val"] = Part(plan.source, plan.held(seed))
        if seed == plan.recipe.seeds[0]:
            for place, part in parts.items():
                keep_snippets(run, place, part.domain)
            _keep_strips(run, plan)
        if scored is not None:
            parts["scored"] = Part(scored)
        _write_said(run, plan, seed, parts)
    of_phase = _parts_of_numbers if plan.recipe.task == "regression" else _parts
    _write_scores(run, plan, {phase: of_phase(run, plan, phase, scored) for phase in plan.recipe.phases})


def _keep_strips(run: RunFolder, plan: Plan) -> None:
    """Keep a few images of each augmented domain, as they are and as a step of training may have seen them."""
    if not plan.shape.images:
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.recipe.seeds[0])
        for name, domain in (("source", plan.source), ("target", plan.target)):
            how = getattr(plan.recipe.augment, name)
            if how == "none" or domain is None:
                continue
            rows = np.linspace(0, len(domain) - 1, min(STRIP, len(domain))).astype(np.int64)
            plain = plan.read(domain.take(rows)).batch(np.arange(len(rows)))
            keep_strip(run, name, plain, AUGMENTATIONS[how](plain, WHOLE))


def _write_said(run: RunFolder, plan: Plan, seed: int, parts: Mapping[str, Part]) -> None:
    """Have both models of a seed speak of every domain."""
    inputs = {} if frozen(plan.recipe) else {place: plan.read(*part) for place, part in parts.items()}
    for phase in plan.recipe.phases:
        model = load_model(run, seed, phase)
        above, rows = _seen(model, parts, plan) if frozen(plan.recipe) else (model, inputs)
        for place, part in parts.items():
            said = say(above, rows[place], "source" if place == "source_val" else "target")
            _write_outputs(run, seed, phase, place, part.domain, said)
        if plan.tta:
            scored = parts["scored"].domain
            _write_outputs(run, seed, phase, "scored_tta", scored, answer_by_views(model, plan, scored))


def answer(model: nn.Module, plan: Plan, part: Part, domain: Where) -> Said:
    """What a model of a plan says of some rows, by features that are kept where its backbone is frozen."""
    if not (frozen(plan.recipe) and isinstance(model, Classifier)):
        return say(model, plan.read(*part), domain)
    return say(model.on_features(), Features(model, plan.read)(*part), domain)


def _seen(model: nn.Module, parts: Mapping[str, Part], plan: Plan) -> tuple[nn.Module, Mapping[str, Inputs]]:
    """What stands above a frozen backbone, and what that backbone makes of every domain."""
    assert isinstance(model, Classifier)
    see = Features(model, plan.read)
    return model.on_features(), {place: see(*part) for place, part in parts.items()}


def answer_by_views(model: nn.Module, plan: Plan, domain: Domain) -> Said:
    """The mean over a plan's views, each of which a frozen backbone looks at once for all models."""
    if not (frozen(plan.recipe) and isinstance(model, Classifier)):
        return say(model, plan.read(domain), "target", plan.tta)
    views = tta.viewed(plan.read(domain), plan.tta)
    seen = [DenseInputs(features(model, view, f"{domain.name}, view {i}")) for i, view in enumerate(views)]
    said = [say(model.on_features(), view, "target") for view in seen]
    mean = mean_answer([torch.from_numpy(of.logits) for of in said]).numpy()
    return Said(mean, said[0].features)


def _parts(run: RunFolder, plan: Plan, phase: str, scored: Domain | None) -> dict[str, Any]:
    """The three parts of ``scores.json`` for one phase, over all seeds."""
    classes, positive = plan.recipe.classes, plan.positive
    on_source, estimates = [], []
    for seed in plan.recipe.seeds:
        there = _probabilities(run, seed, phase, "target")
        saw = _that_saw_the_source(run, seed, phase)
        here, labels = _labelled(run, seed, saw, classes)
        if saw == phase:
            on_source.append(metrics.all_scores(here, labels, classes, positive))
        estimates.append(atc(here, labels, there, seed=seed))
    estimate = {
        "accuracy": round(float(np.mean([e.accuracy for e in estimates])), 6),
        "low": min(e.low for e in estimates),
        "high": max(e.high for e in estimates),
        "how": CONFIDENCE,
    }
    source_val = metrics.mean_over_seeds(on_source) if on_source else None
    parts = {"source_val": source_val, "target_estimate": estimate}
    if scored is not None:
        truth = scored.codes(classes)
        for part, place in _scored_places(plan).items():
            said = [_probabilities(run, seed, phase, place) for seed in plan.recipe.seeds]
            parts[part] = metrics.mean_over_seeds([metrics.all_scores(p, truth, classes, positive) for p in said])
    return parts


def _scored_places(plan: Plan) -> dict[str, str]:
    """The parts of ``scores.json`` that are of a labelled target, and where the outputs they rest on are."""
    return {"target": "scored"} | ({"target_tta": "scored_tta"} if plan.tta else {})


def _parts_of_numbers(run: RunFolder, plan: Plan, phase: str, scored: Domain | None) -> dict[str, Any]:
    """The three parts for a regression; without labels nothing honest is known of its error, so one is none."""

    def over_seeds(place: str) -> dict[str, float]:
        return metrics.mean_errors([metrics.errors(*_against(run, seed, phase, place)) for seed in plan.recipe.seeds])

    parts = {"source_val": over_seeds("source_val"), "target_estimate": None}
    places = {} if scored is None else _scored_places(plan)
    return parts | {part: over_seeds(place) for part, place in places.items()}


def _write_scores(run: RunFolder, plan: Plan, parts: Mapping[str, dict[str, Any]]) -> None:
    last, before = plan.recipe.phases[-1], parts["source_only"]
    why = _why_not(run, plan) if last == "adapted" else ""
    kept = "source_only" if why else last
    scores = dict(parts[last])
    own, other = scores["target_estimate"], before["target_estimate"]
    if last == "adapted" and own:
        bounds = {"low": min(own["low"], other["low"]), "high": max(own["high"], other["high"])}
        scores["target_estimate"] = {**own, **bounds, "how": RANGE if scores["source_val"] else WITHOUT_SOURCE}
    if why:
        log.warning("the adapted model is not kept: %s; the source-only model predicts", why)
    weights = run.weights(plan.recipe.seeds[0], kept)
    run.write(f"model{weights.suffix}", lambda path: shutil.copyfile(weights, path))
    asked = {"seeds": list(plan.recipe.seeds), "positive": list(plan.positive), "tta": list(plan.tta)}
    run.write_json("scores.json", {**scores, "kept": kept, "why": why, "source_only": before, **asked})


def _why_not(run: RunFolder, plan: Plan) -> str:
    """What speaks against the adapted model that would be kept; empty if nothing does."""
    seed, last = plan.recipe.seeds[0], "adapted"
    before, after = (_losses(run, plan, phase) for phase in ("source_only", last))
    if plan.recipe.task == "regression":
        here, there = (_predicted(run, seed, last, place) for place in ("source_val", "target"))
        return flattened(before, after, here, there)
    return collapsed(before, after, _probabilities(run, seed, last, "target"))


def _losses(run: RunFolder, plan: Plan, phase: str) -> NDArray[np.float64]:
    """What the score on the source's validation split lacks of 1, by seed and example ``(seeds, n)``."""

    def of(seed: int) -> NDArray[np.float64]:
        if plan.recipe.task == "regression":
            said, numbers = _against(run, seed, phase, "source_val")
            return np.square(said - numbers) / (numbers.var() or np.inf)  # numbers that are all one prove nothing
        probabilities, codes = _labelled(run, seed, _that_saw_the_source(run, seed, phase), plan.recipe.classes)
        return np.asarray(probabilities.argmax(1) != codes, dtype=np.float64)

    return np.stack([of(seed) for seed in plan.recipe.seeds])


def _that_saw_the_source(run: RunFolder, seed: int, phase: str) -> str:
    """A model that started from a Run never met the source, whose examples only the source-only model has seen."""
    return phase if run.outputs(seed, phase, "source_val").exists() else "source_only"


def _probabilities(run: RunFolder, seed: int, phase: str, place: str) -> NDArray[np.float64]:
    frame = pl.read_parquet(run.outputs(seed, phase, place), columns=["probabilities"])
    return np.array(frame["probabilities"].to_list(), dtype=np.float64)


def _labelled(
    run: RunFolder, seed: int, phase: str, classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What a model said of the source's validation split, and the true classes."""
    labels = pl.read_parquet(run.outputs(seed, phase, "source_val"), columns=["label"])["label"]
    codes = labels.replace_strict(classes, range(len(classes)), return_dtype=pl.Int64).to_numpy()
    return _probabilities(run, seed, phase, "source_val"), codes


def _predicted(run: RunFolder, seed: int, phase: str, place: str) -> NDArray[np.float64]:
    return pl.read_parquet(run.outputs(seed, phase, place), columns=["predicted"])["predicted"].to_numpy()


def _against(run: RunFolder, seed: int, phase: str, place: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The numbers that a model predicted of a domain, and the true ones."""
    frame = pl.read_parquet(run.outputs(seed, phase, place), columns=["predicted", "label"])
    return frame["predicted"].to_numpy(), frame["label"].to_numpy()


def _write_outputs(folder: RunFolder, seed: int, phase: str, place: str, domain: Domain, said: Said) -> None:
    rows = np.random.default_rng(0).permutation(len(domain))[:FEATURE_ROWS]
    features: list[list[float] | None] = [None] * len(domain)
    for i in rows:
        features[i] = said.features[i].tolist()
    frame = pl.DataFrame(
        {
            "index": np.arange(len(domain)),
            "name": list(domain.names),
            **_answers(folder, said),
            "features": pl.Series(features, dtype=pl.List(pl.Float32)),
        }
    )
    if domain.labels is not None:
        numbers = folder.recipe.task == "regression"
        frame = frame.with_columns(pl.Series("label", domain.numbers() if numbers else domain.labels.tolist()))
    name = folder.outputs(seed, phase, place).name
    folder.write(f"outputs/{name}", lambda path: frame.write_parquet(path))


def _answers(folder: RunFolder, said: Said) -> dict[str, Any]:
    """The columns that say what was predicted."""
    recipe = folder.recipe
    if recipe.task == "regression":
        return {"predicted": said.numbers(recipe.scale)}
    probabilities = said.probabilities
    predicted = [recipe.classes[i] for i in probabilities.argmax(1)]
    return {"predicted": predicted, "probabilities": probabilities.astype(np.float32).tolist()}
