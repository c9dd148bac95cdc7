"""What the trained models predict for each domain, and how right they are: outputs and scores of a Run."""

import logging
import shutil
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from acclimate import metrics
from acclimate.augment import tta
from acclimate.augment.augmentation import AUGMENTATIONS
from acclimate.contents import AccuracyEstimate, Phase, PhaseScores, Scored, ScoredPart, Scores
from acclimate.data import Domain
from acclimate.data.domain import Part
from acclimate.data.inputs import DenseInputs, Inputs
from acclimate.nn import Classifier
from acclimate.nn.replicas import WHOLE
from acclimate.run_folder import RunFolder
from acclimate.runs.models import load_model
from acclimate.runs.outputs import (
    ClassOutputs,
    NumberOutputs,
    read_class_outputs,
    read_number_outputs,
    write_outputs,
)
from acclimate.runs.snippets import STRIP, keep_snippets, keep_strip
from acclimate.training.features import Features, features, frozen
from acclimate.training.inference import Predictions, mean_logits, predict
from acclimate.validators.atc import atc
from acclimate.validators.collapse import collapsed, flattened
from acclimate.workflows.plan import Plan

log = logging.getLogger("acclimate")

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
        _write_seed(run, plan, seed, parts)
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


def _write_seed(run: RunFolder, plan: Plan, seed: int, parts: Mapping[str, Part]) -> None:
    """Write what both models of a seed give for every domain."""
    inputs = {} if frozen(plan.recipe) else {place: plan.read(*part) for place, part in parts.items()}
    for phase in plan.recipe.phases:
        model = load_model(run, seed, phase, shape=plan.shape)
        above, rows = _above_features(model, parts, plan) if frozen(plan.recipe) else (model, inputs)
        for place, part in parts.items():
            predictions = predict(above, rows[place], "source" if place == "source_val" else "target")
            write_outputs(run, seed, phase, place, part.domain, predictions)
        if plan.tta:
            scored = parts["scored"].domain
            write_outputs(run, seed, phase, "scored_tta", scored, predict_views(model, plan, scored))


def predict_part(model: nn.Module, plan: Plan, part: Part, domain: str) -> Predictions:
    """What a model of a plan gives for some rows, by features that are kept where its backbone is frozen."""
    if not (frozen(plan.recipe) and isinstance(model, Classifier)):
        return predict(model, plan.read(*part), domain)
    return predict(model.on_features(), Features(model, plan.read)(*part), domain)


def _above_features(model: nn.Module, parts: Mapping[str, Part], plan: Plan) -> tuple[nn.Module, Mapping[str, Inputs]]:
    """What stands above a frozen backbone, and what that backbone makes of every domain."""
    assert isinstance(model, Classifier)
    features = Features(model, plan.read)
    return model.on_features(), {place: features(*part) for place, part in parts.items()}


def predict_views(model: nn.Module, plan: Plan, domain: Domain) -> Predictions:
    """The mean over a plan's views, each of which passes a frozen backbone once for all models."""
    if not (frozen(plan.recipe) and isinstance(model, Classifier)):
        return predict(model, plan.read(domain), "target", tta=plan.tta)
    views = tta.viewed(plan.read(domain), plan.tta)
    inputs = [DenseInputs(features(model, view, f"{domain.name}, view {i}")) for i, view in enumerate(views)]
    predictions = [predict(model.on_features(), view, "target") for view in inputs]
    mean = mean_logits([torch.from_numpy(of_view.logits) for of_view in predictions]).numpy()
    return Predictions(mean, predictions[0].features)


def _parts(run: RunFolder, plan: Plan, phase: str, scored: Domain | None) -> PhaseScores:
    """The three parts of ``scores.json`` for one phase, over all seeds."""
    classes, positive = plan.recipe.classes, plan.positive
    on_source, estimates = [], []
    for seed in plan.recipe.seeds:
        target = _class_outputs(run, seed, phase, "target")
        saw = _that_saw_the_source(run, seed, phase)
        source, labels = _labelled(_class_outputs(run, seed, saw, "source_val"))
        if saw == phase:
            on_source.append(metrics.all_scores(source, labels, classes, positive))
        estimates.append(atc(source, labels, target.probabilities, seed=seed))
    estimate: AccuracyEstimate = {
        "accuracy": round(float(np.mean([e.accuracy for e in estimates])), 6),
        "low": min(e.low for e in estimates),
        "high": max(e.high for e in estimates),
        "how": CONFIDENCE,
    }
    source_val = metrics.mean_over_seeds(on_source) if on_source else None
    parts: PhaseScores = {"source_val": source_val, "target_estimate": estimate}
    if scored is not None:
        truth = scored.codes(classes)
        for part, place in _scored_places(plan).items():
            outputs = [_class_outputs(run, seed, phase, place).probabilities for seed in plan.recipe.seeds]
            parts[part] = metrics.mean_over_seeds([metrics.all_scores(p, truth, classes, positive) for p in outputs])
    return parts


def _scored_places(plan: Plan) -> dict[ScoredPart, str]:
    """The parts of ``scores.json`` that are of a labelled target, and where the outputs they rest on are."""
    places: dict[ScoredPart, str] = {"target": "scored"}
    return {**places, "target_tta": "scored_tta"} if plan.tta else places


def _parts_of_numbers(run: RunFolder, plan: Plan, phase: str, scored: Domain | None) -> PhaseScores:
    """The three parts for a regression; without labels nothing honest is known of its error, so one is none."""

    def over_seeds(place: str) -> Scored:
        both = [_predicted_and_true(_number_outputs(run, seed, phase, place)) for seed in plan.recipe.seeds]
        return metrics.mean_errors([metrics.errors(*of_seed) for of_seed in both])

    parts: PhaseScores = {"source_val": over_seeds("source_val"), "target_estimate": None}
    for part, place in _scored_places(plan).items() if scored is not None else ():
        parts[part] = over_seeds(place)
    return parts


def _write_scores(run: RunFolder, plan: Plan, parts: Mapping[str, PhaseScores]) -> None:
    last, before = plan.recipe.phases[-1], parts["source_only"]
    why = _why_not(run, plan) if last == "adapted" else ""
    kept: Phase = "source_only" if why or last == "source_only" else "adapted"
    scores = parts[last].copy()
    own, other = scores["target_estimate"], before["target_estimate"]
    if last == "adapted" and own and other:
        low, high = min(own["low"], other["low"]), max(own["high"], other["high"])
        how = RANGE if scores["source_val"] else WITHOUT_SOURCE
        scores["target_estimate"] = {**own, "low": low, "high": high, "how": how}
    if why:
        log.warning("the adapted model is not kept: %s; the source-only model predicts", why)
    weights = run.weights(plan.recipe.seeds[0], kept)
    run.write(f"model{weights.suffix}", lambda path: shutil.copyfile(weights, path))
    written: Scores = {
        **scores, "kept": kept, "why": why, "source_only": before,
        "seeds": list(plan.recipe.seeds), "positive": list(plan.positive), "tta": list(plan.tta),
    }  # fmt: skip
    run.write_json("scores.json", written)


def _why_not(run: RunFolder, plan: Plan) -> str:
    """What speaks against the adapted model that would be kept; empty if nothing does."""
    seed, last = plan.recipe.seeds[0], "adapted"
    before, after = (_losses(run, plan, phase) for phase in ("source_only", last))
    if plan.recipe.task == "regression":
        source, target = (_number_outputs(run, seed, last, place).predicted for place in ("source_val", "target"))
        return flattened(before, after, source, target)
    return collapsed(before, after, _class_outputs(run, seed, last, "target").probabilities)


def _losses(run: RunFolder, plan: Plan, phase: str) -> NDArray[np.float64]:
    """What the score on the source's validation split lacks of 1, by seed and example ``(seeds, n)``."""

    def of(seed: int) -> NDArray[np.float64]:
        if plan.recipe.task == "regression":
            predicted, true = _predicted_and_true(_number_outputs(run, seed, phase, "source_val"))
            return np.square(predicted - true) / (true.var() or np.inf)  # numbers that are all one prove nothing
        saw = _that_saw_the_source(run, seed, phase)
        probabilities, codes = _labelled(_class_outputs(run, seed, saw, "source_val"))
        return np.asarray(probabilities.argmax(1) != codes, dtype=np.float64)

    return np.stack([of(seed) for seed in plan.recipe.seeds])


def _that_saw_the_source(run: RunFolder, seed: int, phase: str) -> str:
    """A model that started from a Run never met the source, whose examples only the source-only model has seen."""
    return phase if run.outputs(seed, phase, "source_val").exists() else "source_only"


def _class_outputs(run: RunFolder, seed: int, phase: str, place: str) -> ClassOutputs:
    return read_class_outputs(run.outputs(seed, phase, place), run.recipe.classes, features=False)


def _number_outputs(run: RunFolder, seed: int, phase: str, place: str) -> NumberOutputs:
    return read_number_outputs(run.outputs(seed, phase, place), features=False)


def _labelled(outputs: ClassOutputs) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities, and the true classes."""
    assert outputs.labels is not None
    return outputs.probabilities, outputs.labels


def _predicted_and_true(outputs: NumberOutputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The numbers that a model predicts for a domain, and the true ones."""
    assert outputs.labels is not None
    return outputs.predicted, outputs.labels
