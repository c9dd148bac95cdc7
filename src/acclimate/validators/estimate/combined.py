"""One estimate of a model's accuracy from its own outputs and those of independent models."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.validators.audit import labels_needed
from acclimate.validators.estimate.agreement import Bounds, bounds, disagreement, gde, intersection
from acclimate.validators.estimate.atc import atc_confidence, atc_negative_entropy
from acclimate.validators.estimate.checkers import checked
from acclimate.validators.estimate.confidence import difference_of_confidences
from acclimate.validators.estimate.cot import cot
from acclimate.validators.estimate.dis2 import dis2, dis2_logits
from acclimate.validators.estimate.inputs import Labels, Probabilities, check
from acclimate.validators.estimate.table import LEVEL, Table, apply, load
from acclimate.validators.estimate.temperature import scaled, temperature

OWN = frozenset({"atc", "atc_ne", "cot", "doc"})
"""Parts that rest on the model's own confidence."""
ADAPTED = "adapted"
"""The kinds that start with this are of models trained on the target, which may have made themselves confident."""
SETTLED = 0.1
"""Half-width of a 90 % interval that settles an accuracy well enough to act on."""


class Saved(NamedTuple):
    """What one model left: outputs and, if there are any, features of both domains.

    Attributes:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        source_features: Features of the source examples ``(n_s, d)``.
        target_features: Features of the target ``(n_t, d)``.
    """

    source: Probabilities
    labels: Labels
    target: Probabilities
    source_features: NDArray[np.float64] | None = None
    target_features: NDArray[np.float64] | None = None


class Known(NamedTuple):
    """An estimate that tasks of other families have calibrated.

    Attributes:
        accuracy: The point.
        low: Lower bound of the 90 % interval.
        high: Upper bound.
        parts: What it was made of.
        labels: How many random labels of the target give an interval as wide.
    """

    accuracy: float
    low: float
    high: float
    parts: Mapping[str, float]
    labels: int


class Unknown(NamedTuple):
    """No estimate can be stated.

    Attributes:
        reason: Why, in one clause.
        parts: What was computed all the same, not to be shown as an accuracy.
        labels: How many random labels of the target settle it to ± 10 points.
    """

    reason: str
    parts: Mapping[str, float]
    labels: int


def combine(
    kind: str, parts: Mapping[str, float], *, within: Sequence[Bounds] = (), table: Table | None = None
) -> Known | Unknown:
    """Combine the parts of an estimate by the rule that was fitted for this kind of model.

    Args:
        kind: What the model is, e.g. ``"source_only"`` or ``"adapted"``; a key of the table.
        parts: Estimates by name, of `parts_of` or `parts_of_adapted`.
        within: Bounds of the accuracy, of `peer_bounds`; the point stays within them.
        table: The rules; those of this version by default.

    Returns:
        `Unknown` if there is no rule for this kind, a part is missing, or the bounds and the interval contradict each
        other.

    Raises:
        BadInput: The rule of an adapted model rests on its own confidence alone.
    """
    rule = (load() if table is None else table)["kinds"].get(kind)
    if rule is None:
        return _unknown(f"no tasks have calibrated an estimate for a model of the kind {kind!r}", parts)
    if kind.startswith(ADAPTED):
        check_independent(rule["names"])
    try:
        guess = apply(rule, parts)
    except BadInput as error:
        return _unknown(error.message.removeprefix("estimate: "), parts)
    allowed = intersection([Bounds(guess.low, guess.high), *within])
    if allowed is None:
        return _unknown("the estimates of the models contradict each other", parts)
    point = min(max(guess.accuracy, allowed.low), allowed.high)
    half = max((guess.high - guess.low) / 2, 1e-3)
    return Known(point, guess.low, guess.high, parts, labels_needed(half, share=point, level=LEVEL))


def _unknown(reason: str, parts: Mapping[str, float]) -> Unknown:
    return Unknown(reason, parts, labels_needed(SETTLED, level=LEVEL))


def check_independent(names: Sequence[str]) -> None:
    """Refuse parts of which all rest on the confidence of the model itself.

    Raises:
        BadInput: They do.
    """
    if set(names) <= OWN:
        raise BadInput(
            f"estimate: {', '.join(names)} all rest on the adapted model's own confidence; add independent "
            "evidence, e.g. transfer_low and transfer_high"
        )


def parts_of(
    model: Saved, *, seeds: Sequence[Probabilities] = (), critics: bool = True, seed: int = 0
) -> dict[str, float]:
    """Estimate a model that has not seen the target in every way that its outputs allow.

    ``atc``, ``atc_ne``, ``cot`` and ``doc`` are of probabilities with the temperature of the source; ``dis2_logits``
    and, with features, ``dis2_features`` and ``checkers_features`` need none; ``agreement`` is of seeds.

    Args:
        model: Its outputs.
        seeds: Probabilities of other seeds of it on the target, each ``(n_t, k)``.
        critics: Compute the estimates by Dis², which take most of the time.
        seed: Seed of samples and starts.

    Raises:
        BadInput: The arrays do not fit together.
    """
    parts = _own(model, seed, critics=critics) | _readers(model, model, seed, critics=critics)
    if seeds:
        parts["agreement"] = gde(np.stack([model.target.argmax(1), *(one.argmax(1) for one in seeds)]))
    return parts


def parts_of_adapted(
    adapted: Saved,
    source_only: Saved,
    *,
    source_only_accuracy: float,
    peers: Sequence[Probabilities] = (),
    seeds: Sequence[Probabilities] = (),
    critics: bool = True,
    seed: int = 0,
) -> dict[str, float]:
    """Estimate an adapted model from its outputs and from independent models.

    Besides `parts_of`: ``transfer_low`` and ``transfer_high``, the bounds that follow from source-only's estimate and
    how often the two disagree; ``dis2_independent`` and ``checkers_independent``, critics and checkers of the adapted
    model's predictions on source-only's features, which it cannot have bent; and ``peers``, its mean agreement with
    models of other methods.

    Args:
        adapted: Outputs of the adapted model.
        source_only: Outputs of the model before adaptation, on the same examples.
        source_only_accuracy: The estimate of source-only's accuracy on the target.
        peers: Probabilities of other methods' models on the target, each ``(n_t, k)``.
        seeds: Probabilities of other seeds of the adapted model on the target.
        critics: Compute the estimates by Dis², which take most of the time.
        seed: Seed of samples and starts.

    Raises:
        BadInput: The arrays do not fit together, or are of different examples.
    """
    parts = parts_of(adapted, seeds=seeds, critics=critics, seed=seed)
    predicted = adapted.target.argmax(1)
    transfer = peer_bounds(predicted, source_only.target.argmax(1), Bounds(source_only_accuracy, source_only_accuracy))
    parts |= {"transfer_low": transfer.low, "transfer_high": transfer.high}
    independent = _readers(adapted, source_only, seed, critics=critics)
    parts |= {name.replace("features", "independent"): value for name, value in independent.items()}
    if peers:
        parts["peers"] = 1 - float(np.mean([disagreement(predicted, peer.argmax(1)) for peer in peers]))
    return parts


def peer_bounds(predicted: Labels, by_peer: Labels, accuracy: Bounds) -> Bounds:
    """Bounds of a model's accuracy from its predictions, a peer's, and the interval of the peer's accuracy.

    Raises:
        BadInput: The predictions are not of the same examples.
    """
    return bounds(accuracy, disagreement(predicted, by_peer))


def _own(model: Saved, seed: int, *, critics: bool) -> dict[str, float]:
    check(model.source, model.labels, model.target)
    t = temperature(model.source, model.labels)
    outputs = scaled(model.source, t), model.labels, scaled(model.target, t)
    found = {
        "atc": atc_confidence(*outputs),
        "atc_ne": atc_negative_entropy(*outputs),
        "cot": cot(*outputs, seed=seed),
        "doc": difference_of_confidences(*outputs),
    }
    if critics:
        found["dis2_logits"] = dis2_logits(model.source, model.labels, model.target, seed=seed).accuracy
    return found


def _readers(model: Saved, reader: Saved, seed: int, *, critics: bool) -> dict[str, float]:
    """Critics and checkers of a model's predictions on the features of ``reader``, if it has any."""
    if reader.source_features is None or reader.target_features is None:
        return {}
    read, onto = reader.source_features, reader.target_features
    found = {"checkers_features": checked(read, model.labels, onto, model.target.argmax(1), seed=seed)}
    if critics:
        bound = dis2(model.source, model.labels, model.target, read, onto, seed=seed)
        found["dis2_features"] = bound.accuracy
    return found
