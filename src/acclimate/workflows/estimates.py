"""The accuracy on the target without its labels, estimated from what a Run's models gave for both domains."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from acclimate.contents import AccuracyEstimate, NoEstimate, Phase
from acclimate.errors import BadInput
from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import ClassOutputs, read_class_outputs, read_file
from acclimate.shift.label_shift import label_shift
from acclimate.validators.audit import labels_needed
from acclimate.validators.estimate.combined import SETTLED, Known, Saved, combine, parts_of, parts_of_adapted
from acclimate.validators.estimate.table import LEVEL, Rule, load

WORDS: Mapping[str, str] = {
    "atc": "confidence above a threshold (ATC, arXiv:2201.04234)",
    "atc_ne": "negative entropy above a threshold (ATC-NE, arXiv:2201.04234)",
    "checkers_features": "agreement with simple classifiers on the model's features",
    "checkers_independent": "agreement with simple classifiers on the source-only model's features",
    "cot": "transport of the predictions to the source's classes (COT, arXiv:2305.15640)",
    "dis2_features": "critics on the model's features (Dis², arXiv:2306.00312)",
    "dis2_independent": "critics on the source-only model's features (Dis², arXiv:2306.00312)",
    "dis2_logits": "critics on the model's logits (Dis², arXiv:2306.00312)",
    "doc": "difference of confidences (arXiv:2107.03315)",
    "members": "how often the methods that were tried agree",
    "peers": "agreement with models of other methods",
    "source_only": "the estimate of the source-only model",
}
"""What each part of an estimate is."""

FEWEST = 20
"""Examples of the target, and held-out ones of the source, below which sampling alone decides an estimate."""
MOST_SHIFT = 0.3
"""Total variation between class shares up to which estimates hold: beyond, they were off by up to 30 points.

EM finds it with source-only's predictions, or with those of a student, which several methods taught."""
TAUGHT = "adapted_student"
"""The kind of an adapted model that learnt from several methods, whose agreement speaks for it."""
WITHOUT_SOURCE = "as no example of the source is at hand, the source-only model's outputs for it stand in"
"""Of a model that started from a finished Run."""
Estimate = AccuracyEstimate | NoEstimate


def estimates(run: RunFolder, recipe: Recipe) -> dict[Phase, Estimate]:
    """Estimate the accuracy of each phase's models on the target; nothing of an error of numbers.

    Args:
        run: Has the outputs of all seeds for the source's validation split and for the target.
        recipe: Its recipe.
    """
    if recipe.task == "regression":
        return {}
    found: dict[Phase, Estimate] = {}
    for phase in recipe.phases:
        before = found[recipe.phases[0]] if found else unknown("")
        try:
            parts = _mean(list(_parts(run, recipe.seeds, phase, before)))
            kind = _kind(phase, parts)
            _check_shares(saved(run, recipe.seeds[0], "adapted" if kind == TAUGHT else "source_only"))
        except BadInput as error:
            found[phase] = unknown(error.message.removeprefix("estimate: "))
        else:
            found[phase] = _combined(kind, parts)
            if (estimate := found[phase]) and "how" in estimate and not _met_source(run, recipe, phase):
                found[phase] = {**estimate, "how": f"{estimate['how']}; {WITHOUT_SOURCE}"}
    return found


def _kind(phase: Phase, parts: Mapping[str, float]) -> str:
    """The kind of model whose rule combines the parts."""
    return TAUGHT if phase == "adapted" and "members" in parts and TAUGHT in load()["kinds"] else phase


def _check_shares(model: Saved) -> None:
    """Refuse a target whose classes seem to have other shares, or whose predictions are so wrong that they seem so.

    Raises:
        BadInput: The shares that EM estimates with the model differ too much from the source's.
    """
    if (share := moved(model)) > MOST_SHIFT:
        raise BadInput(f"estimate: the class shares seem to differ by {share:.0%} between source and target")


def moved(model: Saved) -> float:
    """The total variation between the classes' shares in the source and those that EM estimates for the target."""
    before = np.bincount(model.labels, minlength=model.source.shape[1]) / len(model.labels)
    if not before.all():
        return 0.0  # of a class without held-out examples nothing can be estimated
    after = label_shift("em", model.source, model.labels, model.target, draws=0).shares
    return float(np.abs(after - before).sum() / 2)


def _met_source(run: RunFolder, recipe: Recipe, phase: Phase) -> bool:
    return run.outputs(recipe.seeds[0], phase, "source_val").exists()


def unknown(reason: str) -> NoEstimate:
    """No estimate, and how many random labels of the target settle the accuracy."""
    return {"unknown": reason, "labels": labels_needed(SETTLED, level=LEVEL)}


def saved(run: RunFolder, seed: int, phase: str) -> Saved:
    """What a model gave for the examples of both domains whose features are written.

    A model that started from a finished Run has not met the source; in its place stands the source-only model.

    Raises:
        BadInput: A file is missing or damaged, or there are too few examples.
    """
    met = phase if run.outputs(seed, phase, "source_val").exists() else "source_only"
    source, target = _class_outputs(run, seed, met, "source_val"), _class_outputs(run, seed, phase, "target")
    known, own = source.rows, target.rows
    for rows, which in ((known, "held-out examples of the source"), (own, "examples of the target")):
        if len(rows) < FEWEST:
            raise BadInput(f"estimate: {len(rows)} {which} are too few")
    return Saved(
        source.probabilities[known], source.true[known], target.probabilities[own], source.features, target.features
    )


def _class_outputs(run: RunFolder, seed: int, phase: str, place: str) -> ClassOutputs:
    found = read_file(run, seed, phase, place, features=True)
    assert isinstance(found, ClassOutputs)
    return found


def _parts(run: RunFolder, seeds: Sequence[int], phase: Phase, before: Estimate) -> Iterator[dict[str, float]]:
    """The parts of each seed's estimate; ``before`` is the estimate of the source-only models."""
    accuracy = before["accuracy"] if "accuracy" in before else float("nan")
    for seed in seeds:
        yield parts(run, seed, phase, source_only=accuracy)


def parts(run: RunFolder, seed: int, phase: Phase, *, source_only: float = float("nan")) -> dict[str, float]:
    """The parts of the estimate of one model.

    Args:
        run: Has its outputs.
        seed: Its seed.
        phase: Its phase.
        source_only: The estimate of the source-only model's accuracy.
    """
    model = saved(run, seed, phase)
    if phase == "source_only":
        return parts_of(model, critics=False, seed=seed)
    baseline = saved(run, seed, "source_only")
    found = parts_of_adapted(model, baseline, source_only_accuracy=source_only, critics=False, seed=seed)
    return found | {"source_only": source_only} | _of_members(run, seed)


def _of_members(run: RunFolder, seed: int) -> dict[str, float]:
    """How often the methods that taught a student agree in pairs; nothing where there are none."""
    if not (members := {one.method for one in run.recipe.members}):
        return {}
    cells = [
        folder
        for path in sorted(run.file("trials/cells").glob("[!.]*"))
        if (folder := RunFolder(path)).recipe.seeds == (seed,)
    ]
    by_method = {
        one.recipe.method: read_class_outputs(one, seed, one.recipe.phases[-1], "target").predicted for one in cells
    }
    some = [predicted for name, predicted in by_method.items() if name in members]
    pairs = [float((one == other).mean()) for one, other in combinations(some, 2)]
    return {"members": float(np.mean(pairs))} if pairs else {}


def _mean(of_seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([parts[name] for parts in of_seeds])) for name in of_seeds[0]}


def _combined(kind: str, parts: Mapping[str, float]) -> Estimate:
    found = combine(kind, parts)
    if not isinstance(found, Known):
        return {"unknown": found.reason, "labels": found.labels}
    accuracy, low, high = (round(value, 6) for value in (found.accuracy, found.low, found.high))
    how = described(load()["kinds"][kind])
    return {"accuracy": accuracy, "low": low, "high": high, "how": how, "labels": found.labels}


def described(rule: Rule) -> str:
    """Say in a clause what a rule combines and how good it was on data that it was not fitted on."""
    *others, last = [WORDS[name] for name, weight in zip(rule["names"], rule["weights"], strict=True) if weight > 0]
    parts = f"{', '.join(others)} and {last}" if others else last
    return (
        f"combined from {parts}; on {rule['families']} families of data, each left out of the fit in turn, it was off "
        f"by {100 * rule['mae']:.1f} points on average; the range is a 90% interval"
    )
