"""The guard's last word: whether source-only is the safer model after all, by what both models give."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import numpy as np

from acclimate.contents import Guarded
from acclimate.errors import BadInput
from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import AnyOutputs, ClassOutputs, read_class_outputs, read_file
from acclimate.validators import evidence
from acclimate.validators.candidate import Candidate
from acclimate.validators.collapse import collapsed, flattened
from acclimate.validators.estimate.combined import Saved
from acclimate.validators.evidence import Pair
from acclimate.validators.gates import reasons
from acclimate.validators.guard import RULE, Verdict, guard

SEEDED: Mapping[str, Callable[..., Pair]] = {
    "checkers": evidence.checkers,
    "critic": evidence.critic,
    "explained": evidence.explained,
    "transport": evidence.transport,
}
"""Cues of one seed that need the outputs of both models and draw samples."""
PLAIN: Mapping[str, Callable[[Saved, Saved], Pair]] = {"shares": evidence.shares, "source": evidence.source}
"""Cues of one seed that need the outputs of both models alone."""


def last_word(before: Sequence[Candidate], after: Sequence[Candidate], *, gates: Sequence[str] = ()) -> Verdict:
    """Weigh adapted models against source-only ones, seed by seed; the cues' means decide.

    Args:
        before: Source-only's models, one of each seed.
        after: The adapted ones.
        gates: Reasons to reject the adapted models outright; empty ones are ignored.
    """
    pairs = zip(before, after, strict=True)
    of_seeds = [dict(_cues(_saved(old), _saved(new), seed)) for seed, (old, new) in enumerate(pairs)]
    names = dict.fromkeys(name for cues in of_seeds for name in cues)
    means = {name: _mean([cues[name] for cues in of_seeds if name in cues]) for name in names}
    if len(before) > 1 and "stability" in RULE.weights:
        predicted = (np.stack([one.predicted for one in models]) for models in (before, after))
        means["stability"] = evidence.stability(*predicted)
    return guard(means, gates=gates)


def judge_run(run: RunFolder, recipe: Recipe) -> Guarded:
    """Which model of a Run is the safer one; of numbers only a collapse is known.

    Args:
        run: Has the outputs of both phases.
        recipe: Its recipe.
    """
    broken = _broken(run, recipe)
    if recipe.task == "regression" or broken:
        return {"kept": "source_only" if broken else "adapted", "why": broken, "sentence": ""}
    before, after = ([_candidate(run, seed, phase) for seed in recipe.seeds] for phase in ("source_only", "adapted"))
    verdict = last_word(before, after, gates=_gates(before, after))
    why = "" if verdict.kept == "adapted" else verdict.reason
    return {
        "kept": verdict.kept,
        "why": why,
        "sentence": verdict.sentence,
        "probability": round(verdict.probability, 4),
    }


def _gates(before: Sequence[Candidate], after: Sequence[Candidate]) -> list[str]:
    """The reason of a gate that rejects at least half of the seeds."""
    found = [reasons([old, new], 0)[1] for old, new in zip(before, after, strict=True)]
    rejected = [why for why in found if why]
    return rejected[:1] if 2 * len(rejected) >= len(found) else []


def _broken(run: RunFolder, recipe: Recipe) -> str:
    """Whether what the adapted models give has collapsed, or they lost much on the source; empty if not."""
    before, after = (
        np.stack([_held_out(run, seed, phase).errors() for seed in recipe.seeds])
        for phase in ("source_only", "adapted")
    )
    seed = recipe.seeds[0]
    target = read_file(run, seed, "adapted", "target")
    if isinstance(target, ClassOutputs):
        return collapsed(before, after, target.probabilities)
    return flattened(before, after, _held_out(run, seed, "adapted").answers, target.predicted)


def _candidate(run: RunFolder, seed: int, phase: str) -> Candidate:
    """What a model gives; one that started from a finished Run has not met the source, so source-only's stands there."""
    source, target = _held_out(run, seed, phase), read_class_outputs(run, seed, phase, "target")
    assert isinstance(source, ClassOutputs)
    known = bool(len(source.rows) and len(target.rows))
    return Candidate(
        phase, source.probabilities, source.true, target.probabilities,
        source_features=source.features if known else None, source_rows=source.rows if known else None,
        target_features=target.features if known else None, target_rows=target.rows if known else None,
    )  # fmt: skip


def _held_out(run: RunFolder, seed: int, phase: str) -> AnyOutputs:
    """Outputs for the source's validation split: of the source-only model if this one started from a Run."""
    known = run.outputs(seed, phase, "source_val").exists()
    return read_file(run, seed, phase if known else "source_only", "source_val", features=True)


def _saved(candidate: Candidate) -> Saved:
    """The examples whose features are known; all examples of a model without features."""
    if candidate.source_features is None or candidate.target_features is None:
        return Saved(candidate.source, candidate.labels, candidate.target)
    source, target = candidate.source_sample(), candidate.target_sample()
    return Saved(source.probabilities, source.labels, target.probabilities, source.features, target.features)


def _cues(before: Saved, after: Saved, seed: int) -> Iterator[tuple[str, Pair]]:
    """The cues of one seed that the rule weighs and that can be computed."""
    for name in RULE.weights:
        with suppress(BadInput):
            if name in SEEDED:
                yield name, SEEDED[name](before, after, seed=seed)
            elif name in PLAIN:
                yield name, PLAIN[name](before, after)
            elif name == "clusters" and before.target_features is not None:
                yield name, _clusters(before, after, before.target_features, seed)


def _clusters(before: Saved, after: Saved, features: evidence.Features, seed: int) -> Pair:
    old, new, k = before.target.argmax(1), after.target.argmax(1), before.target.shape[1]
    return evidence.clusters(features, old, new, k, seed=seed)


def _mean(pairs: Sequence[Pair]) -> Pair:
    return Pair(*(float(value) for value in np.mean(pairs, axis=0)))
