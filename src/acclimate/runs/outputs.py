"""What the first seed's models said, read from the Run's ``outputs/``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Said:
    """What one model said of one domain.

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
        """All that it says, to tell one domain from another."""
        return self.probabilities

    def shares(self) -> NDArray[np.float64]:
        """How often each class is predicted ``(k,)``."""
        return class_shares(self.predicted, self.probabilities.shape[1])


@dataclass(frozen=True)
class SaidNumbers:
    """What one model of numbers said of one domain.

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
        """All that it says, to tell one domain from another."""
        return self.predicted


S = TypeVar("S", Said, SaidNumbers)


@dataclass(frozen=True)
class Outputs(Generic[S]):
    """What every model said of every domain, by phase: ``source_only`` first, then ``adapted`` if there is one.

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

    def target_truth(self) -> NDArray[Any] | None:
        """True labels of the target's examples, if those that were scored are the very same ones."""
        first = self.phases[0]
        if first not in self.scored:
            return None
        target, scored = self.target[first], self.scored[first]
        same = target.names == scored.names and np.array_equal(target.answers, scored.answers)
        return scored.labels if same else None


def read_outputs(run: RunFolder) -> Outputs[Said]:
    """All outputs of the first seed.

    Raises:
        BadInput: A file is missing or damaged.
    """
    classes = run.recipe.classes
    return _outputs(run, lambda frame: _classes(frame, classes))


def read_numbers(run: RunFolder) -> Outputs[SaidNumbers]:
    """All outputs of the first seed of a regression.

    Raises:
        BadInput: A file is missing or damaged.
    """
    return _outputs(run, _numbers)


def _outputs(run: RunFolder, said_in: Callable[[pl.DataFrame], S]) -> Outputs[S]:
    seed = run.recipe.seeds[0]
    phases = [p for p in ("source_only", "adapted") if run.outputs(seed, p, "target").exists()]
    if not phases:
        raise BadInput(f"{run.file('outputs')}: has no outputs to draw; was the Run changed by hand?")

    def said(place: str) -> dict[str, S]:
        there = [phase for phase in phases if run.outputs(seed, phase, place).exists()]
        return {phase: _read(run.outputs(seed, phase, place), said_in) for phase in there}

    source = said("source_val")
    if phases[0] not in source:
        raise BadInput(f"{run.outputs(seed, phases[0], 'source_val')}: is missing; was the Run changed by hand?")
    return Outputs(source, said("target"), said("scored"))


def class_shares(codes: Codes, k: int) -> NDArray[np.float64]:
    """How often each of ``k`` classes occurs in ``codes``.

    Example:
        >>> class_shares(np.array([0, 0, 1, 0]), 3).tolist()
        [0.75, 0.25, 0.0]
    """
    return np.bincount(codes, minlength=k) / max(len(codes), 1)


def _read(path: Path, said_in: Callable[[pl.DataFrame], S]) -> S:
    try:
        return said_in(pl.read_parquet(path))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path}: not a readable part of a Run ({why}); was it changed by hand?") from error


def _classes(frame: pl.DataFrame, classes: tuple[str, ...]) -> Said:
    probabilities = np.array(frame["probabilities"].to_list(), dtype=np.float64)
    labels = _codes(frame["label"], classes) if "label" in frame.columns else None
    return Said(frame["name"].to_list(), probabilities, *_features(frame), labels)


def _numbers(frame: pl.DataFrame) -> SaidNumbers:
    labels = frame["label"].to_numpy() if "label" in frame.columns else None
    return SaidNumbers(frame["name"].to_list(), frame["predicted"].to_numpy(), *_features(frame), labels)


def _features(frame: pl.DataFrame) -> tuple[Codes, NDArray[np.float64]]:
    """The rows whose features are known, and those."""
    rows = np.flatnonzero(frame["features"].is_not_null().to_numpy())
    return rows, np.array(frame["features"].drop_nulls().to_list(), dtype=np.float64)


def _codes(labels: pl.Series, classes: tuple[str, ...]) -> Codes:
    position = {c: i for i, c in enumerate(classes)}
    return np.array([position.get(label, -1) for label in labels.to_list()], dtype=np.int64)
