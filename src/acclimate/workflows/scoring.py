"""What the trained models predict for each domain, and how right they are: outputs and scores of a Run."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from acclimate.augment import tta
from acclimate.augment.augmentation import AUGMENTATIONS
from acclimate.contents import (
    PHASES,
    Change,
    DataSummary,
    EnsembleScores,
    Phase,
    PhaseScores,
    Scored,
    ScoredPart,
    Scores,
)
from acclimate.data import Domain
from acclimate.data.domain import Part
from acclimate.data.inputs import DenseInputs, Inputs
from acclimate.metrics import accuracy_interval, paired_interval
from acclimate.nn import Classifier
from acclimate.nn.cut import cut_at_features
from acclimate.nn.replicas import WHOLE
from acclimate.run_folder import RunFolder
from acclimate.runs.models import load_model
from acclimate.runs.outputs import AnyOutputs, ClassOutputs, ensemble, read_file, write_outputs
from acclimate.runs.snippets import STRIP, keep_snippets, keep_strip
from acclimate.shift.moved import moved
from acclimate.training.features import Read, StandIn, features, frozen, stand_in
from acclimate.training.inference import Predictions, mean_predictions, predict
from acclimate.workflows.estimates import Estimate, estimates
from acclimate.workflows.keep import why_not
from acclimate.workflows.plan import Plan

log = logging.getLogger("acclimate")


def score(run: RunFolder, plan: Plan) -> None:
    """Write outputs, ``scores.json`` and the model that is kept; only here may labels of the target be read."""
    scored = plan.score() if plan.score else None
    run.write_json("data.json", cast("Mapping[str, object]", _summary(plan, scored)))
    if scored is not None and scored.name != plan.target.name:
        keep_snippets(run, "scored", scored)
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
    estimated = estimates(run, plan.recipe)
    _write_scores(run, plan, {phase: _parts(run, plan, phase, estimated.get(phase)) for phase in plan.recipe.phases})


def _summary(plan: Plan, scored: Domain | None) -> DataSummary:
    """The size of every set, and what differs most between the domains."""
    sizes = {"target": len(plan.target)}
    if plan.source is not None:
        held = len(plan.held(plan.recipe.seeds[0]))
        sizes |= {"source_train": len(plan.source) - held, "source_val": held}
    if plan.target_labels is not None:
        sizes["target_labels"] = len(plan.target_labels.domain)
    if scored is not None:
        sizes["scored"] = len(scored)
    return {"sizes": sizes, "moved": [] if plan.source is None else moved(plan.source, plan.target)}


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
    inputs: Mapping[str, Inputs] = {}
    above: nn.Module
    for phase in plan.recipe.phases:
        model = load_model(run, seed, phase, shape=plan.shape)
        if found := _stand_in(model, plan):
            above, rows = found.model, _read(parts, found.read)
        else:
            inputs = inputs or _read(parts, plan.read)
            above, rows = model, inputs
        for place, part in parts.items():
            predictions = predict(above, rows[place], "source" if place == "source_val" else "target")
            write_outputs(run, seed, phase, place, part.domain, predictions)
        if plan.tta:
            scored = parts["scored"].domain
            write_outputs(run, seed, phase, "scored_tta", scored, predict_views(model, plan, scored))


def _read(parts: Mapping[str, Part], read: Read) -> Mapping[str, Inputs]:
    return {place: read(*part) for place, part in parts.items()}


def predict_part(model: nn.Module, plan: Plan, part: Part, domain: str) -> Predictions:
    """What a model of a plan gives for some rows, by features that are kept where its lower layers are frozen."""
    found = _stand_in(model, plan)
    return predict(found.model, found.read(*part), domain) if found else predict(model, plan.read(*part), domain)


def _stand_in(model: nn.Module, plan: Plan) -> StandIn | None:
    """The layers of a network above those that are frozen, and features to run them on."""
    return stand_in(plan.recipe, model, plan.read, plan.domains) if isinstance(model, Classifier) else None


def predict_views(model: nn.Module, plan: Plan, domain: Domain) -> Predictions:
    """The mean over a plan's views, each of which passes a frozen backbone once for all models."""
    if not (frozen(plan.recipe) and isinstance(model, Classifier)):
        return predict(model, plan.read(domain), "target", tta=plan.tta)
    views, (below, above, _) = tta.viewed(plan.read(domain), plan.tta), cut_at_features(model)
    inputs = [DenseInputs(features(below, view, f"{domain.name}, view {i}")) for i, view in enumerate(views)]
    return mean_predictions(predict(above, view, "target") for view in inputs)


def _parts(run: RunFolder, plan: Plan, phase: str, estimated: Estimate | None) -> PhaseScores:
    """The parts of ``scores.json`` for one phase, over all seeds."""
    own = run.outputs(plan.recipe.seeds[0], phase, "source_val").exists()  # not of a model that started from a Run
    parts: PhaseScores = {
        "source_val": _over_seeds(run, plan, phase, "source_val") if own else None,
        "target_estimate": estimated,
    }
    for part, place in _scored_places(plan).items():
        parts[part] = _over_seeds(run, plan, phase, place)
    return parts


def _over_seeds(run: RunFolder, plan: Plan, phase: str, place: str) -> Scored:
    """Scores of one phase's models on a labelled domain: the mean over seeds, with its spread."""
    outputs = [read_file(run, seed, phase, place) for seed in plan.recipe.seeds]
    return {"n": len(outputs[0]), **outputs[0].mean([of_seed.scores(plan.positive) for of_seed in outputs])}


def _scored_places(plan: Plan) -> dict[ScoredPart, str]:
    """The parts of ``scores.json`` that are of a labelled target, and where the outputs they rest on are."""
    if not plan.score:
        return {}
    places: dict[ScoredPart, str] = {"target": "scored"}
    return {**places, "target_tta": "scored_tta"} if plan.tta else places


def _write_scores(run: RunFolder, plan: Plan, parts: Mapping[str, PhaseScores]) -> None:
    why = why_not(run, plan.recipe) if plan.guard and "adapted" in parts else ""
    kept: Phase = "source_only" if why or "adapted" not in parts else "adapted"
    if why:
        log.warning("the adapted model is not kept: %s; the source-only model predicts", why)
    weights = run.weights(plan.recipe.seeds[0], kept)
    run.write(f"model{weights.suffix}", lambda path: shutil.copyfile(weights, path))
    more: dict[str, object] = {}
    if plan.score and len(plan.recipe.seeds) > 1:
        more["ensemble"] = _of_ensemble(run, plan, kept)
    if plan.score and "adapted" in parts and (change := _change(run, plan.recipe.seeds)):
        more["change"] = change
    written = {
        **parts[kept], "kept": kept, "why": why, **parts, **more,
        "seeds": list(plan.recipe.seeds), "positive": list(plan.positive), "tta": list(plan.tta),
    }  # fmt: skip
    run.write_json("scores.json", cast("Scores", written))  # its keys depend on the phases


def _of_ensemble(run: RunFolder, plan: Plan, kept: Phase) -> EnsembleScores:
    """The scores on the labelled target of the mean over seeds of the phase that is kept."""
    scores: EnsembleScores = {}
    for part, place in _scored_places(plan).items():
        mean = ensemble([read_file(run, seed, kept, place) for seed in plan.recipe.seeds])
        scores[part] = {"n": len(mean), **mean.mean([mean.scores(plan.positive)])}
    return scores


def _change(run: RunFolder, seeds: Sequence[int]) -> Change | None:
    """What adaptation changes on the labelled target; nothing is known of a single example."""
    before, after = ([read_file(run, seed, phase, "scored") for seed in seeds] for phase in PHASES)
    return change_between(before, after)


def change_between(before: Sequence[AnyOutputs], after: Sequence[AnyOutputs]) -> Change | None:
    """What changes from the first models' outputs, one for each seed, to the second ones' for the same examples."""
    if len(before[0]) < 2:
        return None
    worse = np.stack([_deviations(new) - _deviations(old) for old, new in zip(before, after, strict=True)])
    if isinstance(before[0], ClassOutputs):
        return _as_change("accuracy", -worse, accuracy_interval(-worse))
    return _as_change("mae", worse, paired_interval(worse))


def _as_change(
    measure: Literal["accuracy", "mae"], differences: NDArray[np.float64], interval: Sequence[float]
) -> Change:
    """The mean of differences ``(seeds, n)`` and its interval, to six significant digits."""
    seeds, n = differences.shape
    difference, low, high = (float(f"{value:.6g}") for value in (differences.mean(), *interval))
    return {"measure": measure, "difference": difference, "low": low, "high": high, "n": n, "seeds": seeds}


def _deviations(outputs: AnyOutputs) -> NDArray[np.float64]:
    """1 for each example whose class is not predicted, else 0; or how far off each number is ``(n,)``."""
    return outputs.errors() if isinstance(outputs, ClassOutputs) else np.abs(outputs.predicted - outputs.true)
