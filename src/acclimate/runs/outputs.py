"""What trained models give for each domain, as arrays: written to and read from a Run's ``outputs/``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate import metrics
from acclimate.contents import ClassScores, NumberScores, Scored
from acclimate.data import Domain
from acclimate.errors import damaged, explain_damage
from acclimate.recipe import Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.check import name_in, read_parquet
from acclimate.training.inference import Predictions

ROUNDING = 1e-4
"""By how much a probability may exceed 1."""
FEATURE_ROWS = 2000
"""Rows of a domain whose features are written with the outputs."""

NO_FEATURES: tuple[NDArray[np.int64], NDArray[np.float64]] = (np.empty(0, dtype=np.int64), np.empty((0, 0)))

Codes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Column = NDArray[np.float64] | list[str] | pl.Series


@dataclass(frozen=True)
class ClassOutputs:
    """What one classifier gives for one domain.

    Attributes:
        names: A name for each of the n examples.
        probabilities: Of each class ``(n, k)``.
        rows: The examples whose features are known ``(m,)``.
        features: Theirs ``(m, d)``.
        labels: True classes as positions ``(n,)``, or none.
        recipe: Of the Run; it names the classes.
    """

    names: list[str]
    probabilities: Numbers
    rows: Codes
    features: Numbers
    labels: Codes | None
    recipe: Recipe

    @classmethod
    def of(cls, predictions: Predictions, domain: Domain, recipe: Recipe) -> Self:
        """Predictions for a domain, with its labels if it has any.

        Raises:
            BadInput: A label is not among the recipe's classes.
        """
        codes = None if domain.labels is None else domain.codes(recipe.classes)
        return cls(list(domain.names), predictions.probabilities, *NO_FEATURES, codes, recipe)

    @classmethod
    def read(cls, frame: pl.DataFrame, recipe: Recipe) -> Self:
        """The content of a file in ``outputs/``."""
        probabilities = as_rows(frame["probabilities"], len(recipe.classes))
        if probabilities.min() < 0 or probabilities.max() > 1 + ROUNDING:
            raise ValueError("a probability is not from 0 to 1")
        labels = _codes(frame["label"], recipe.classes) if "label" in frame.columns else None
        return cls(frame["name"].to_list(), probabilities, *_features(frame), labels, recipe)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def predicted(self) -> Codes:
        """The likeliest class of each example ``(n,)``."""
        return np.asarray(self.probabilities.argmax(1), dtype=np.int64)

    @property
    def answers(self) -> Numbers:
        """All predictions, by which two domains can be told apart."""
        return self.probabilities

    def with_answers(self, answers: Numbers) -> Self:
        """The same examples with other probabilities."""
        return replace(self, probabilities=answers)

    @property
    def true(self) -> Codes:
        """The labels, where there are any."""
        assert self.labels is not None
        return self.labels

    def shares(self) -> Numbers:
        """How often each class is predicted ``(k,)``."""
        return class_shares(self.predicted, self.probabilities.shape[1])

    def columns(self) -> dict[str, Column]:
        """Predictions, and labels if there are any, as columns of a file in ``outputs/``."""
        names = np.array(self.recipe.classes)
        labels: dict[str, Column] = {} if self.labels is None else {"label": names[self.labels].tolist()}
        shares = as_lists(self.probabilities.astype(np.float32))
        return {"predicted": names[self.predicted].tolist(), "probabilities": shares, **labels}

    def table(self) -> list[pl.Series]:
        """Class and probabilities as columns of a table of predictions; empty where probabilities are NaN."""
        known, classes = ~np.isnan(self.probabilities[:, 0]), self.recipe.classes
        best = [classes[c] if k else None for c, k in zip(self.predicted, known, strict=True)]
        shares = [pl.Series(f"p_{c}", self.probabilities[:, j]).fill_nan(None) for j, c in enumerate(classes)]
        return [as_given(pl.Series("class", best, dtype=pl.String), self.recipe), *shares]

    def scores(self, positive: Sequence[str] = ()) -> ClassScores:
        """Accuracy and the other scores against the labels; see `acclimate.metrics.all_scores`."""
        return metrics.all_scores(self.probabilities, self.true, self.recipe.classes, positive)

    @staticmethod
    def mean(of_seeds: Sequence[Mapping[str, object]]) -> Scored:
        """The mean of scores over seeds, with their spread."""
        return metrics.mean_over_seeds(of_seeds)

    def scores_by_class(self) -> dict[str, object]:
        """Recall of each class, and how often one is taken for another."""
        recalls = metrics.by_name(metrics.recalls(self.probabilities, self.true), self.recipe.classes)
        return {"recall": recalls, "confusion": metrics.confusion(self.probabilities, self.true).tolist()}

    def errors(self) -> Numbers:
        """1 for each example whose class is not predicted, else 0 ``(n,)``."""
        return np.asarray(self.predicted != self.true, dtype=np.float64)


@dataclass(frozen=True)
class NumberOutputs:
    """What one regression model gives for one domain.

    Attributes:
        names: A name for each of the n examples.
        predicted: The numbers ``(n,)``, in the unit of the labels.
        rows: The examples whose features are known ``(m,)``.
        features: Theirs ``(m, d)``.
        labels: True numbers ``(n,)``, or none.
        recipe: Of the Run; it has the scale of the source's labels.
    """

    names: list[str]
    predicted: Numbers
    rows: Codes
    features: Numbers
    labels: Numbers | None
    recipe: Recipe

    @classmethod
    def of(cls, predictions: Predictions, domain: Domain, recipe: Recipe) -> Self:
        """Predictions for a domain, with its labels if it has any.

        Raises:
            BadInput: A label is not a number.
        """
        numbers = None if domain.labels is None else domain.numbers()
        return cls(list(domain.names), predictions.numbers(recipe.scale), *NO_FEATURES, numbers, recipe)

    @classmethod
    def read(cls, frame: pl.DataFrame, recipe: Recipe) -> Self:
        """The content of a file in ``outputs/``."""
        labels = _numbers(frame["label"]) if "label" in frame.columns else None
        return cls(frame["name"].to_list(), _numbers(frame["predicted"]), *_features(frame), labels, recipe)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def answers(self) -> Numbers:
        """All predictions, by which two domains can be told apart."""
        return self.predicted

    def with_answers(self, answers: Numbers) -> Self:
        """The same examples with other predictions."""
        return replace(self, predicted=answers)

    @property
    def true(self) -> Numbers:
        """The labels, where there are any."""
        assert self.labels is not None
        return self.labels

    def columns(self) -> dict[str, Column]:
        """Predictions, and labels if there are any, as columns of a file in ``outputs/``."""
        return {"predicted": self.predicted, **({} if self.labels is None else {"label": self.labels})}

    def table(self) -> list[pl.Series]:
        """The numbers as a column of a table of predictions; empty where they are NaN."""
        return [pl.Series("prediction", self.predicted).fill_nan(None)]

    def scores(self, positive: Sequence[str] = ()) -> NumberScores:
        """MAE, RMSE and R² against the labels; see `acclimate.metrics.errors`."""
        return metrics.errors(self.predicted, self.true)

    @staticmethod
    def mean(of_seeds: Sequence[Mapping[str, object]]) -> Scored:
        """The mean of scores over seeds, with their spread."""
        return metrics.mean_errors(of_seeds)

    def scores_by_class(self) -> dict[str, object]:
        """Nothing: there are no classes."""
        return {}

    def errors(self) -> Numbers:
        """The squared error of each example over the variance of the labels ``(n,)``; R² is 1 minus their mean."""
        return np.square(self.predicted - self.true) / (self.true.var() or np.inf)  # equal numbers prove nothing


AnyOutputs = ClassOutputs | NumberOutputs


def ensemble(of_seeds: Sequence[AnyOutputs]) -> AnyOutputs:
    """The mean of the probabilities or numbers that several seeds give for the same examples."""
    return of_seeds[0].with_answers(np.mean([of_seed.answers for of_seed in of_seeds], axis=0))


def kind_of(recipe: Recipe) -> type[ClassOutputs] | type[NumberOutputs]:
    """What the models of a Run give: classes, or numbers."""
    return NumberOutputs if recipe.task == "regression" else ClassOutputs


def as_given(chosen: pl.Series, recipe: Recipe) -> pl.Series:
    """Classes in the type in which the source's labels were given: text, or whole numbers."""
    return chosen.cast(pl.Int64) if recipe.label_type == "integer" else chosen


S = TypeVar("S", bound=ClassOutputs | NumberOutputs)


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

    def target_truth(self) -> Codes | Numbers | None:
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
    columns = kind_of(run.recipe).of(predictions, domain, run.recipe).columns()
    labels = {name: columns.pop(name) for name in ("label",) if name in columns}  # the last column, as in earlier files
    examples = {"index": np.arange(len(domain)), "name": list(domain.names)}
    frame = pl.DataFrame({**examples, **columns, "features": _some_features(predictions.features), **labels})
    run.write(f"outputs/{run.outputs(seed, phase, place).name}", frame.write_parquet)


def read_file(run: RunFolder, seed: int, phase: str, place: str, *, features: bool = False) -> AnyOutputs:
    """What one model gave for one domain, with features if wanted.

    Raises:
        BadInput: The file is missing or damaged.
    """
    return _read(run, run.outputs(seed, phase, place), kind_of(run.recipe).read, features=features)


def read_class_outputs(run: RunFolder, seed: int, phase: str, place: str) -> ClassOutputs:
    """What a classifier gave for a domain.

    Raises:
        BadInput: The file is missing or damaged.
    """
    return _read(run, run.outputs(seed, phase, place), ClassOutputs.read)


def read_outputs(run: RunFolder) -> RunOutputs[ClassOutputs]:
    """All outputs of the first seed.

    Raises:
        BadInput: A file is missing or damaged.
    """
    return _of_run(run, ClassOutputs.read)


def read_numbers(run: RunFolder) -> RunOutputs[NumberOutputs]:
    """All outputs of the first seed of a regression.

    Raises:
        BadInput: A file is missing or damaged.
    """
    return _of_run(run, NumberOutputs.read)


def class_shares(codes: Codes, k: int) -> NDArray[np.float64]:
    """How often each of ``k`` classes occurs in ``codes``.

    Example:
        >>> class_shares(np.array([0, 0, 1, 0]), 3).tolist()
        [0.75, 0.25, 0.0]
    """
    return np.bincount(codes, minlength=k) / max(len(codes), 1)


def _of_run(run: RunFolder, read: Callable[[pl.DataFrame, Recipe], S]) -> RunOutputs[S]:
    seed = run.recipe.seeds[0]
    phases = [p for p in ("source_only", "adapted") if run.outputs(seed, p, "target").exists()]
    if not phases:
        raise damaged(run.path, "outputs", "nothing is left to draw")

    def by_phase(place: str) -> dict[str, S]:
        paths = {phase: run.outputs(seed, phase, place) for phase in phases}
        return {phase: _read(run, path, read) for phase, path in paths.items() if path.exists()}

    source = by_phase("source_val")
    if phases[0] not in source:
        raise damaged(run.path, name_in(run, run.outputs(seed, phases[0], "source_val")), "missing")
    outputs = RunOutputs(source, by_phase("target"), by_phase("scored"))
    for place, of_phases in (("source_val", source), ("target", outputs.target), ("scored", outputs.scored)):
        _check_alike(run, place, of_phases)
    for phase in source:
        _check_features(run, phase, source[phase], outputs.target[phase])
    return outputs


def _check_alike(run: RunFolder, place: str, outputs: Mapping[str, S]) -> None:
    """Refuse outputs for one domain that are of other examples, or that lack labels they need."""
    for phase, other in outputs.items():
        file = name_in(run, run.outputs(run.recipe.seeds[0], phase, place))
        if len(other) != len(next(iter(outputs.values()))):
            raise damaged(run.path, file, "has another number of rows than those of the other model")
        if place != "target" and other.labels is None:
            raise damaged(run.path, file, "has no labels")


def _check_features(run: RunFolder, phase: str, source: S, target: S) -> None:
    """Refuse features of one model that cannot be drawn on one map."""
    if source.features.shape[1] != target.features.shape[1]:
        file = name_in(run, run.outputs(run.recipe.seeds[0], phase, "target"))
        raise damaged(run.path, file, "its features have another number than those of the source")


def as_lists(rows: NDArray[np.float32] | Numbers) -> pl.Series:
    """Rows ``(n, d)`` as a column of lists, without Python's."""
    width = rows.shape[1]
    flat = pl.Series(rows.ravel())
    return flat.reshape((len(rows), width)).arr.to_list() if len(rows) else pl.Series([], dtype=pl.List(flat.dtype))


def _some_features(features: NDArray[np.float32]) -> pl.Series:
    """Features of up to `FEATURE_ROWS` rows drawn at random, null for the others."""
    n = len(features)
    kept = np.zeros(n, dtype=np.bool_)
    kept[np.random.default_rng(0).permutation(n)[:FEATURE_ROWS]] = True
    frame = pl.DataFrame({"features": as_lists(features.astype(np.float32)), "kept": kept})
    return frame.select(pl.when("kept").then("features"))["features"]


def _read(run: RunFolder, path: Path, read: Callable[[pl.DataFrame, Recipe], S], *, features: bool = True) -> S:
    frame = read_parquet(run, path, without="" if features else "features")
    with explain_damage(run.path, name_in(run, path)):
        if not frame.height or frame["index"].to_list() != list(range(frame.height)):
            raise ValueError("its rows are not numbered")
        if frame["name"].dtype != pl.String or frame["name"].has_nulls():
            raise ValueError("its names are not text")
        return read(frame, run.recipe)


def _features(frame: pl.DataFrame) -> tuple[Codes, NDArray[np.float64]]:
    """The rows whose features are known, and those."""
    if "features" not in frame.columns:
        return np.empty(0, dtype=np.int64), np.empty((0, 0))
    rows = np.flatnonzero(frame["features"].is_not_null().to_numpy())
    known = frame["features"].drop_nulls()
    return rows, as_rows(known, int(known.list.len()[0]) if len(known) else 0)


def as_rows(lists: pl.Series, width: int) -> NDArray[np.float64]:
    """A column of lists of one length as an array ``(n, width)``.

    Raises:
        ValueError: They have other lengths, or other values than finite numbers.
    """
    if not (lists.list.len() == width).all() or lists.has_nulls():
        raise ValueError(f"rows are not all of {width} numbers")
    return _numbers(lists.explode()).reshape(len(lists), width)


def _numbers(column: pl.Series) -> Numbers:
    if not column.dtype.is_numeric() or column.has_nulls():
        raise ValueError(f"the column {column.name!r} has other values than numbers")
    numbers = np.asarray(column.to_numpy(), dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"the column {column.name!r} has numbers that are not finite")
    return numbers


def _codes(labels: pl.Series, classes: tuple[str, ...]) -> Codes:
    codes = labels.replace_strict(classes, range(len(classes)), default=-1, return_dtype=pl.Int64).to_numpy()
    if len(codes) and codes.min() < 0:
        raise ValueError("a label is not a class of the recipe")
    return codes
