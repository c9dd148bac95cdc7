"""What trained models give for each domain, as arrays: written to and read from a Run's ``outputs/``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data import Domain
from acclimate.errors import BadInput
from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder
from acclimate.training.inference import Predictions

FEATURE_ROWS = 2000
"""Rows of a domain whose features are written with the outputs."""

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class ClassOutputs:
    """What one classifier gives for one domain.

    Attributes:
        names: A name for each of the n examples.
        probabilities: Of each class ``(n, k)``.
        rows: The examples whose features are known ``(m,)``.
        features: Theirs ``(m, d)``.
        labels: True classes as positions ``(n,)``, or none.
    """

    names: list[str]
    probabilities: NDArray[np.float64]
    rows: Codes
    features: NDArray[np.float64]
    labels: Codes | None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def predicted(self) -> Codes:
        """The likeliest class of each example ``(n,)``."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)

    @property
    def answers(self) -> NDArray[np.float64]:
        """All predictions, by which two domains can be told apart."""
        return self.probabilities

    def shares(self) -> NDArray[np.float64]:
        """How often each class is predicted ``(k,)``."""
        return class_shares(self.predicted, self.probabilities.shape[1])


@dataclass(frozen=True)
class NumberOutputs:
    """What one regression model gives for one domain.

    Attributes:
        names: A name for each of the n examples.
        predicted: The numbers ``(n,)``, in the unit of the labels.
        rows: The examples whose features are known ``(m,)``.
        features: Theirs ``(m, d)``.
        labels: True numbers ``(n,)``, or none.
    """

    names: list[str]
    predicted: NDArray[np.float64]
    rows: Codes
    features: NDArray[np.float64]
    labels: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def answers(self) -> NDArray[np.float64]:
        """All predictions, by which two domains can be told apart."""
        return self.predicted


S = TypeVar("S", ClassOutputs, NumberOutputs)


@dataclass(frozen=True)
class RunOutputs(Generic[S]):
    """What every model gives for every domain, by phase: ``source_only`` first, then ``adapted`` if there is one.

    Attributes:
        source: Of the source's validation split, by the models that met it.
        target: Of the target.
        scored: Of the labelled target; empty if none was given.
    """

    source: Mapping[str, S]
    target: Mapping[str, S]
    scored: Mapping[str, S]

    @property
    def phases(self) -> tuple[str, ...]:
        """The models there are."""
        return tuple(self.target)

    def target_truth(self) -> Codes | NDArray[np.float64] | None:
        """True labels of the target's examples, if those that were scored are the very same ones."""
        first = self.phases[0]
        if first not in self.scored:
            return None
        target, scored = self.target[first], self.scored[first]
        same = target.names == scored.names and np.array_equal(target.answers, scored.answers)
        return scored.labels if same else None


def write_outputs(run: RunFolder, seed: int, phase: str, place: str, domain: Domain, predictions: Predictions) -> None:
    """Write what a model gives for a domain as Parquet: a row for each example, features for some of them.

    Args:
        run: Whose folder takes it; its recipe names classes and task.
        seed: Of the model.
        phase: Of the model.
        place: What the domain is in this Run: ``target``, ``source_val``, ``scored``, ``scored_tta``.
        domain: Names and labels of the examples.
        predictions: Theirs.
    """
    frame = pl.DataFrame(
        {
            "index": np.arange(len(domain)),
            "name": list(domain.names),
            **_predicted(run.recipe, predictions),
            "features": _some_features(predictions.features),
        }
    )
    if domain.labels is not None:
        numbers = run.recipe.task == "regression"
        frame = frame.with_columns(pl.Series("label", domain.numbers() if numbers else domain.labels.tolist()))
    run.write(f"outputs/{run.outputs(seed, phase, place).name}", frame.write_parquet)


def read_class_outputs(path: Path, classes: tuple[str, ...], *, features: bool = True) -> ClassOutputs:
    """What a classifier gave for a domain.

    Args:
        path: The Parquet file.
        classes: Of the recipe.
        features: Whether to read them too.

    Raises:
        BadInput: The file is missing or damaged.
    """
    return _read(path, lambda frame: _classes(frame, classes), features)


def read_number_outputs(path: Path, *, features: bool = True) -> NumberOutputs:
    """What a regression model gave for a domain.

    Args:
        path: The Parquet file.
        features: Whether to read them too.

    Raises:
        BadInput: The file is missing or damaged.
    """
    return _read(path, _numbers, features)


def read_outputs(run: RunFolder) -> RunOutputs[ClassOutputs]:
    """All outputs of the first seed.

    Raises:
        BadInput: A file is missing or damaged.
    """
    classes = run.recipe.classes
    return _of_run(run, lambda path: read_class_outputs(path, classes))


def read_numbers(run: RunFolder) -> RunOutputs[NumberOutputs]:
    """All outputs of the first seed of a regression.

    Raises:
        BadInput: A file is missing or damaged.
    """
    return _of_run(run, read_number_outputs)


def class_shares(codes: Codes, k: int) -> NDArray[np.float64]:
    """How often each of ``k`` classes occurs in ``codes``.

    Example:
        >>> class_shares(np.array([0, 0, 1, 0]), 3).tolist()
        [0.75, 0.25, 0.0]
    """
    return np.bincount(codes, minlength=k) / max(len(codes), 1)


def _of_run(run: RunFolder, read: Callable[[Path], S]) -> RunOutputs[S]:
    seed = run.recipe.seeds[0]
    phases = [p for p in ("source_only", "adapted") if run.outputs(seed, p, "target").exists()]
    if not phases:
        raise BadInput(f"{run.file('outputs')}: has no outputs to draw; was the Run changed by hand?")

    def by_phase(place: str) -> dict[str, S]:
        paths = {phase: run.outputs(seed, phase, place) for phase in phases}
        return {phase: read(path) for phase, path in paths.items() if path.exists()}

    source = by_phase("source_val")
    if phases[0] not in source:
        raise BadInput(f"{run.outputs(seed, phases[0], 'source_val')}: is missing; was the Run changed by hand?")
    return RunOutputs(source, by_phase("target"), by_phase("scored"))


def _predicted(recipe: Recipe, predictions: Predictions) -> dict[str, NDArray[np.float64] | list[str] | pl.Series]:
    """The columns with predictions."""
    if recipe.task == "regression":
        return {"predicted": predictions.numbers(recipe.scale)}
    probabilities = predictions.probabilities.astype(np.float32)
    best = np.array(recipe.classes)[predictions.probabilities.argmax(1)]
    return {"predicted": best.tolist(), "probabilities": _lists(probabilities)}


def _lists(rows: NDArray[np.float32]) -> pl.Series:
    """Rows ``(n, d)`` as a column of lists, without Python's."""
    width = rows.shape[1]
    flat = pl.Series(rows.ravel())
    return flat.reshape((len(rows), width)).arr.to_list() if len(rows) else pl.Series([], dtype=pl.List(pl.Float32))


def _some_features(features: NDArray[np.float32]) -> pl.Series:
    """Features of up to `FEATURE_ROWS` rows drawn at random, null for the others."""
    n = len(features)
    kept = np.zeros(n, dtype=np.bool_)
    kept[np.random.default_rng(0).permutation(n)[:FEATURE_ROWS]] = True
    frame = pl.DataFrame({"features": _lists(features.astype(np.float32)), "kept": kept})
    return frame.select(pl.when("kept").then("features"))["features"]


def _read(path: Path, parse: Callable[[pl.DataFrame], S], features: bool) -> S:
    try:
        frame = pl.scan_parquet(path)
        left_out = [] if features else [name for name in frame.collect_schema().names() if name == "features"]
        return parse(frame.drop(left_out).collect())
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path}: not a readable part of a Run ({why}); was it changed by hand?") from error


def _classes(frame: pl.DataFrame, classes: tuple[str, ...]) -> ClassOutputs:
    probabilities = _rows(frame["probabilities"], len(classes))
    labels = _codes(frame["label"], classes) if "label" in frame.columns else None
    return ClassOutputs(frame["name"].to_list(), probabilities, *_features(frame), labels)


def _numbers(frame: pl.DataFrame) -> NumberOutputs:
    labels = frame["label"].to_numpy() if "label" in frame.columns else None
    return NumberOutputs(frame["name"].to_list(), frame["predicted"].to_numpy(), *_features(frame), labels)


def _features(frame: pl.DataFrame) -> tuple[Codes, NDArray[np.float64]]:
    """The rows whose features are known, and those."""
    if "features" not in frame.columns:
        return np.empty(0, dtype=np.int64), np.empty((0, 0))
    rows = np.flatnonzero(frame["features"].is_not_null().to_numpy())
    known = frame["features"].drop_nulls()
    return rows, _rows(known, int(known.list.len()[0]) if len(known) else 0)


def _rows(lists: pl.Series, width: int) -> NDArray[np.float64]:
    """A column of lists of one length as an array ``(n, width)``."""
    if not (lists.list.len() == width).all():
        raise ValueError(f"rows are not all of {width} numbers")
    return np.asarray(lists.explode().to_numpy(), dtype=np.float64).reshape(len(lists), width)


def _codes(labels: pl.Series, classes: tuple[str, ...]) -> Codes:
    codes = labels.replace_strict(classes, range(len(classes)), default=-1, return_dtype=pl.Int64)
    return codes.to_numpy()
