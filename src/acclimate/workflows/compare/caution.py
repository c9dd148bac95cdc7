"""What the guard says of the chosen setting: whether source-only is the safer model after all."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from acclimate.errors import BadInput
from acclimate.validators import evidence
from acclimate.validators.candidate import Candidate
from acclimate.validators.estimate.combined import Saved
from acclimate.validators.evidence import Pair
from acclimate.validators.guard import Verdict, guard

CUES: Mapping[str, Callable[..., Pair]] = {
    "checkers": evidence.checkers,
    "critic": evidence.critic,
    "shares": evidence.shares,
    "source": evidence.source,
}
"""Cues of one seed that need the outputs of both models alone."""


def weigh(before: Sequence[Candidate], after: Sequence[Candidate]) -> Verdict:
    """Weigh the chosen setting's models against source-only's, seed by seed; the cues' means decide.

    Args:
        before: Source-only's models, one of each seed.
        after: Those of the chosen setting.
    """
    of_seeds = [
        _cues(_saved(old), _saved(new), seed) for seed, (old, new) in enumerate(zip(before, after, strict=True))
    ]
    names = dict.fromkeys(name for cues in of_seeds for name in cues)
    means = {name: _mean([cues[name] for cues in of_seeds if name in cues]) for name in names}
    if len(before) > 1:
        predicted = (np.stack([one.predicted for one in models]) for models in (before, after))
        means["stability"] = evidence.stability(*predicted)
    return guard(means)


def _saved(candidate: Candidate) -> Saved:
    """The examples whose features are known; all examples of a model without features."""
    if candidate.source_features is None or candidate.target_features is None:
        return Saved(candidate.source, candidate.labels, candidate.target)
    source, target = candidate.source_sample(), candidate.target_sample()
    return Saved(source.probabilities, source.labels, target.probabilities, source.features, target.features)


def cues_of(before: Candidate, after: Candidate, *, seed: int) -> dict[str, Pair]:
    """Return the cues of one model before, and one after, that can be computed."""
    return _cues(_saved(before), _saved(after), seed)


def _cues(before: Saved, after: Saved, seed: int) -> dict[str, Pair]:
    """The cues of one seed that can be computed."""
    found: dict[str, Pair] = {}
    for name, cue in CUES.items():
        seeded = {"seed": seed} if name in {"checkers", "critic"} else {}
        with suppress(BadInput):
            found[name] = cue(before, after, **seeded)
    with suppress(BadInput):
        found |= _clusters(before, after, seed)
    return found


def _clusters(before: Saved, after: Saved, seed: int) -> dict[str, Pair]:
    if before.target_features is None:
        return {}
    old, new, k = before.target.argmax(1), after.target.argmax(1), before.target.shape[1]
    return {"clusters": evidence.clusters(before.target_features, old, new, k, seed=seed)}


def _mean(pairs: Sequence[Pair]) -> Pair:
    return Pair(*(float(value) for value in np.mean(pairs, axis=0)))
