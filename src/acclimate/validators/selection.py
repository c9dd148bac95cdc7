"""A choice among trained models without target labels: gates first, then a combination of ranks."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from acclimate import validators
from acclimate.errors import BadInput
from acclimate.validators.base import Score
from acclimate.validators.candidate import Candidate, Numbers
from acclimate.validators.gates import reasons
from acclimate.validators.ranks import ranks

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"entropy": 1.0, "importance_weighted_accuracy": 1.0, "mixval": 1.0, "class_ami": 1.0, "ensv": 1.0}
)
"""Weights of the validators; equal, until tasks with known labels say otherwise."""
PRIOR = 1.0
"""Weight of a middling rank that every candidate has beside its own, so that no single validator decides."""


class Row(NamedTuple):
    """What is said of one candidate.

    Attributes:
        method: Its method.
        rejected: The gate's reason; empty if it passed.
        scores: Of each validator; NaN, with the reason, where there is none. Empty for a rejected candidate.
        left_out: Validators that had no say, since the method minimises what they measure.
        combined: Mean rank, from 0 to 1; NaN for a rejected candidate.
    """

    method: str
    rejected: str
    scores: Mapping[str, Score]
    left_out: tuple[str, ...]
    combined: float


class Selection(NamedTuple):
    """The position of the ``choice`` in the pool, a ``table`` with a row for each candidate, and why."""

    choice: int
    table: list[Row]
    reason: str


def select(
    pool: Sequence[Candidate],
    source_only: int,
    *,
    weights: Mapping[str, float] = WEIGHTS,
    own: Sequence[int] = (),
) -> Selection:
    r"""Choose a model: of those that pass the gates, the one with the highest weighted mean rank.

    .. math::
        \frac{\frac12 v_0 + \sum_{a \in A_m} v_a \, r_{am}}{v_0 + \sum_{a \in A_m} v_a}

    :math:`r_{am}`, from 0 to 1, is the rank of model :math:`m` by validator :math:`a` among the models that this
    validator may judge; :math:`A_m` are the validators that gave model :math:`m` a score and whose quantity its method
    did not minimise. The prior :math:`v_0` draws a model of which few validators speak to the middle. With equal means
    source-only is chosen, then the model that comes first.

    Args:
        pool: Candidates for the same target, and for the same source unless ``own`` tells otherwise.
        source_only: The position of the source-only model in the pool.
        weights: A weight for each validator that takes part, by name.
        own: For each candidate the position of the source-only model of its source; see `gates.reasons`.

    Raises:
        BadInput: A validator does not exist, or a weight is negative.
    """
    _check(pool, source_only, weights)
    rejected = reasons(pool, source_only, own=own)
    passed = [i for i, reason in enumerate(rejected) if not reason]
    survivors = [pool[i] for i in passed]
    scored = {name: _judged(name, survivors) for name in weights}
    combined = combine({name: [s.value for s in given] for name, given in scored.items()}, weights)
    of_row = {i: {name: given[at] for name, given in scored.items()} for at, i in enumerate(passed)}
    means = {i: float(combined[at]) for at, i in enumerate(passed)}
    table = [
        Row(one.method, rejected[i], of_row.get(i, {}), _left_out(one, weights), means.get(i, float("nan")))
        for i, one in enumerate(pool)
    ]
    choice = max(passed, key=lambda i: (means[i], i == source_only, -i))
    return Selection(choice, table, _why(table, choice, source_only))


def combine(values: Mapping[str, Sequence[float]], weights: Mapping[str, float], *, prior: float = PRIOR) -> Numbers:
    """The weighted mean rank of each of ``m`` candidates, NaN having no say: ``(m,)``.

    Args:
        values: Scores ``(m,)`` by validator.
        weights: Weights by validator.
        prior: Weight of the middle rank.
    """
    m = max(map(len, values.values()), default=0)
    total, weight = np.full(m, prior * 0.5), np.full(m, prior)
    for name, of_all in values.items():
        found = ranks(of_all)
        known = ~np.isnan(found)
        total = total + np.where(known, weights[name] * found, 0)
        weight = weight + np.where(known, weights[name], 0)
    return np.asarray(total / weight)


def _judged(name: str, survivors: Sequence[Candidate]) -> list[Score]:
    """Scores by one validator; NaN for candidates that it may not judge."""
    validator = validators.get(name)()
    try:
        given = validator.scores(survivors)
    except BadInput as refusal:
        return [Score(float("nan"), refusal.message) for _ in survivors]
    shared = "its method minimises the same quantity"
    return [
        score if validator.may_judge(one) else Score(float("nan"), shared)
        for one, score in zip(survivors, given, strict=True)
    ]


def _left_out(candidate: Candidate, weights: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(name for name in weights if not validators.get(name)().may_judge(candidate))


def _check(pool: Sequence[Candidate], source_only: int, weights: Mapping[str, float]) -> None:
    if not 0 <= source_only < len(pool):
        raise BadInput(f"source_only: {source_only} is no position in a pool of {len(pool)}; give one from 0")
    for name, weight in weights.items():
        validators.get(name)
        if not weight >= 0:
            raise BadInput(f"weights: {name} has {weight}; give 0 or more")


def _why(table: Sequence[Row], choice: int, source_only: int) -> str:
    rejected = sum(bool(row.rejected) for row in table)
    if rejected == len(table) - 1:
        return "no adapted model passed the gates, so source-only is kept"
    gates = f"; gates rejected {rejected} of {len(table)}" if rejected else ""
    kept = "source-only" if choice == source_only else table[choice].method
    return f"{kept} has the highest mean rank, {table[choice].combined:.2f}{gates}"
