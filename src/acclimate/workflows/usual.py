"""What is usual for a Run: a summary of its target, made once and kept with it; and a stream as its model sees it."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data import Domain, load
from acclimate.data.broken import readable
from acclimate.data.digests import digest
from acclimate.data.order import by_content
from acclimate.data.preprocess import TablePreprocess
from acclimate.data.source import Source
from acclimate.errors import BadInput, explain_damage
from acclimate.runs.outputs import AnyOutputs, ClassOutputs, kind_of, read_file
from acclimate.runs.run import Run
from acclimate.shift.stream.reference import Reference, Values, Where, summarise
from acclimate.training.inference import predict

log = logging.getLogger("acclimate")

FILE = "reference.npz"
"""Its name in a Run."""
MOST_COLUMNS = 256
"""Most columns of vectors that are watched one by one."""
MOST_FEATURES = 20_000
"""Most examples from which directions of the features are taken."""


class Seen(NamedTuple):
    """Examples as a Run's model sees them.

    Attributes:
        values: Of every column and prediction ``(n,)``, by name, with what it is of.
        features: Of the model ``(n, d)``.
        outputs: Its predictions.
    """

    values: dict[str, tuple[Where, Values]]
    features: NDArray[np.floating]
    outputs: AnyOutputs


def seen_by(run: Run, domain: Domain) -> Seen:
    """Return examples as the model sees them that the Run keeps, of its first seed."""
    found = predict(run.model(run.kept), run.preprocess.inputs(domain), "target")
    outputs = kind_of(run.recipe).of(found, domain.without_labels(), run.recipe)
    return Seen({**_columns(run, domain), **_predictions(outputs)}, found.features, outputs)


def _columns(run: Run, domain: Domain) -> dict[str, tuple[Where, Values]]:
    """The columns of a table or of vectors; dates always move, so they are not watched."""
    if isinstance(run.preprocess, TablePreprocess):
        kinds = {name: kind for name, kind in run.preprocess.columns.items() if kind in ("numbers", "text")}
        frame = domain.table
        return {
            name: (
                "column",
                frame[name].cast(pl.Float64, strict=False).to_numpy() if kind == "numbers" else frame[name],
            )
            for name, kind in kinds.items()
        }
    if domain.kind == "vectors" and isinstance(domain.vectors, np.ndarray) and domain.vectors.shape[1] <= MOST_COLUMNS:
        x = np.ascontiguousarray(domain.vectors.T.astype(np.float64))
        return {f"column {i}": ("column", x[i]) for i in range(len(x))}
    return {}


def _predictions(outputs: AnyOutputs) -> dict[str, tuple[Where, Values]]:
    """The predicted class and its probability, or the predicted number."""
    if not isinstance(outputs, ClassOutputs):
        return {"predicted number": ("prediction", outputs.predicted)}
    names = pl.Series(np.array(outputs.recipe.classes)[outputs.predicted])
    return {
        "predicted class": ("prediction", names),
        "confidence": ("prediction", np.ascontiguousarray(outputs.probabilities.max(1))),
    }


def usual(run: Run, given: Source | None = None) -> Reference:
    """Return what is usual for a Run: its target as it was trained on, unless other examples are given.

    Where the target cannot be read any more, its predictions and features that the Run keeps stand for it; where there
    are none, those of the held-out source.

    Raises:
        BadInput: There is nothing to compare with.
    """
    path = run.file(FILE)
    if given is None and path.is_file():
        with explain_damage(run.path, FILE):
            return Reference.load(path)
    found = _of_domain(run, run.domain(given, read_labels=False), "the given reference") if given is not None else None
    found = found or _of_target(run) or _of_outputs(run)
    try:
        run.write(FILE, found.save)
    except BadInput as error:
        log.warning("the reference is not kept: %s", error.message)
    return found


def _of_target(run: Run) -> Reference | None:
    """The target's examples, if they can still be read and are the same."""
    path, known = run.recipe.target.path, run.recipe.digests.get("target")
    try:
        columns = {**run.columns._asdict(), "drop": run.recipe.target.drop, "read_labels": False}
        target = by_content(readable(load(path, **columns), run.recipe.target.max_bad))
        if known is None or digest(target) == known:
            return _of_domain(run, target, f"the target {path}")
        log.warning("%s: is not the target any more that this Run was trained for; its outputs stand for it", path)
    except (BadInput, OSError):
        log.warning("%s: the target of this Run cannot be read; its outputs stand for it", path)
    return None


def _of_domain(run: Run, domain: Domain, source: str) -> Reference:
    parts = [seen_by(run, some) for some in slices(domain)]
    values = {
        name: (where, _joined([part.values[name][1] for part in parts])) for name, (where, _) in parts[0].values.items()
    }
    features = np.concatenate([part.features for part in parts])
    return _summary(run, values, features, source, len(domain))


def slices(domain: Domain, size: int = 2**14) -> list[Domain]:
    """Return a domain in parts that a model sees at once."""
    if len(domain) <= size:
        return [domain]
    return [domain.take(np.arange(i, min(i + size, len(domain)))) for i in range(0, len(domain), size)]


def _joined(parts: Sequence[Values]) -> Values:
    if isinstance(parts[0], pl.Series):
        return pl.concat([part.cast(pl.String) for part in parts if isinstance(part, pl.Series)])
    return np.concatenate([np.asarray(part) for part in parts])


def _of_outputs(run: Run) -> Reference:
    seed = run.recipe.seeds[0]
    for place in ("target", "source_val"):
        if run.outputs(seed, run.kept, place).is_file():
            outputs = read_file(run, seed, run.kept, place, features=True)
            features = outputs.features if len(outputs.features) else None
            return _summary(run, _predictions(outputs), features, f"the Run's outputs for its {place}", len(outputs))
    raise BadInput(f"{run.path}: keeps nothing to compare a stream with; give usual examples with --reference")


def _summary(
    run: Run,
    values: dict[str, tuple[Where, Values]],
    features: NDArray[np.floating] | None,
    source: str,
    n: int,
) -> Reference:
    some = None if features is None else features[np.random.default_rng(0).permutation(len(features))[:MOST_FEATURES]]
    classes = run.recipe.classes
    return summarise(values, source=source, n=n, features=some, classes=classes, labels=_known_labels(run))


def _known_labels(run: Run) -> pl.Series | None:
    """The labels of the target that the Run was scored on."""
    seed, classes = run.recipe.seeds[0], np.array(run.recipe.classes)
    if not len(classes) or not run.outputs(seed, run.kept, "scored").is_file():
        return None
    found = read_file(run, seed, run.kept, "scored")
    return pl.Series(classes[found.true]) if isinstance(found, ClassOutputs) else None
