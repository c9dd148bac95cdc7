"""What is usual: the distribution of every column, prediction and direction of the features, in a few counts each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from typing_extensions import TypedDict

from acclimate import typed_json

Where = Literal["column", "prediction", "features", "labels"]
Values = NDArray[np.float64] | pl.Series
Counts = NDArray[np.int64]

BINS = 12
"""Bins of numbers with equal shares of the reference, beside those below and above all of it."""
NAMED = 14
"""Most values of a column of text that have a bin of their own; the rest share one."""
REST = "another value"
"""The name of that bin."""
DIRECTIONS = 4
"""Principal directions of the features, and as many random ones."""
FORMAT = 1


class Channel(NamedTuple):
    """One distribution that is watched.

    Attributes:
        name: What messages call it.
        where: What it is of.
        edges: Upper edges of the bins of numbers; the last bin is above all of them.
        values: The texts that have a bin; empty for numbers.
    """

    name: str
    where: Where
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def is_ordered(self) -> bool:
        """Whether it is of numbers."""
        return not self.values

    @property
    def bins(self) -> int:
        """How many bins it has, without that of missing values."""
        return len(self.values) + 1 if self.values else len(self.edges) + 1

    def codes(self, values: Values) -> Counts:
        """Return the bin of each value ``(n,)``; that of a missing one is the number of bins."""
        if isinstance(values, pl.Series):
            return self._codes_of_text(values)
        edges = np.array([*self.edges, np.inf])
        return np.searchsorted(edges, values, side="left")  # NaN comes after infinity

    def _codes_of_text(self, values: pl.Series) -> Counts:
        texts = values.cast(pl.String)
        known = pl.Series(self.values, dtype=pl.String)
        places = pl.Series(range(len(known)), dtype=pl.Int64)
        codes = texts.replace_strict(known, places, default=len(known), return_dtype=pl.Int64)
        return np.where(texts.is_null().to_numpy(), self.bins, codes.to_numpy())

    def words(self, first: int, last: int) -> str:
        """Say which values are in the bins from ``first`` to before ``last``."""
        if not self.is_ordered:
            return f"{self.name} is {self.values[first] if first < len(self.values) else REST}"
        if (
            last - first == 1
            and 0 < first < len(self.edges)
            and np.nextafter(self.edges[first], -np.inf) <= (self.edges[first - 1])
        ):
            return f"{self.name} is {self.edges[first]:.4g}"
        if first == 0:
            return f"{self.name} is at most {self.edges[last - 1]:.4g}"
        if last == self.bins:
            return f"{self.name} is above {self.edges[first - 1]:.4g}"
        return f"{self.name} is from {self.edges[first - 1]:.4g} to {self.edges[last - 1]:.4g}"


class _Described(TypedDict):
    """The part of a reference's file that is text."""

    format: int
    names: list[str]
    where: list[Where]
    edges: list[list[float]]
    values: list[list[str]]
    source: str
    n: int


@dataclass(frozen=True)
class Reference:
    """The distributions of the examples that count as usual.

    Attributes:
        channels: What is watched.
        counts: Reference examples in each bin, and last those with a missing value ``(channels, bins + 1)``.
        mean: Of the features ``(d,)``.
        directions: Onto which features are projected ``(d, k)``; scaled so that the reference has variance 1.
        source: What the reference is of, to be told.
        n: Examples.
    """

    channels: tuple[Channel, ...]
    counts: Counts
    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    source: str
    n: int

    @cached_property
    def width(self) -> int:
        """Most bins of a channel, without that of missing values."""
        return int(self.counts.shape[1]) - 1

    def count(self, values: Mapping[str, Values], windows: Counts) -> Counts:
        """Count examples by window, channel and bin ``(windows, channels, bins + 1)``.

        Args:
            values: Of each channel by name ``(n,)``; a channel without any counts nothing.
            windows: The window of each example ``(n,)``, from 0 on.
        """
        n_windows, size = int(windows[-1]) + 1, self.width + 1
        found = np.zeros((n_windows, len(self.channels), size), dtype=np.int64)
        for i, channel in enumerate(self.channels):
            if channel.name in values:
                codes = channel.codes(values[channel.name])
                codes = np.where(codes == channel.bins, self.width, codes) if channel.bins < self.width else codes
                flat = np.bincount(codes + size * windows, minlength=size * n_windows)
                found[:, i] = flat.reshape(n_windows, size)
        return found

    def project(self, features: NDArray[np.floating]) -> dict[str, Values]:
        """Return the coordinates of features ``(n, d)`` in the watched directions, by channel."""
        if not self.directions.shape[1]:
            return {}
        found = (features.astype(np.float64) - self.mean) @ self.directions
        return {direction_name(i): np.ascontiguousarray(found[:, i]) for i in range(found.shape[1])}

    def save(self, path: Path) -> None:
        """Write it as ``.npz``."""
        text: _Described = {
            "format": FORMAT,
            "names": [one.name for one in self.channels],
            "where": [one.where for one in self.channels],
            "edges": [list(one.edges) for one in self.channels],
            "values": [list(one.values) for one in self.channels],
            "source": self.source,
            "n": self.n,
        }
        with path.open("wb") as file:
            np.savez_compressed(
                file, text=as_bytes(text), counts=self.counts, mean=self.mean, directions=self.directions
            )

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """Read what `save` wrote.

        Raises:
            ValueError: It is damaged.
        """
        with np.load(path, allow_pickle=False) as file:
            text = typed_json.check(json.loads(file["text"].tobytes()), _Described)
            parts = zip(text["names"], text["where"], text["edges"], text["values"], strict=True)
            channels = tuple(Channel(n, w, tuple(map(float, e)), tuple(v)) for n, w, e, v in parts)
            found = cls(channels, file["counts"], file["mean"], file["directions"], text["source"], text["n"])
        if found.counts.shape[0] != len(channels) or found.width != _width(channels):
            raise ValueError("the counts are not of these channels")
        return found


def as_bytes(value: Mapping[str, object]) -> NDArray[np.uint8]:
    """JSON as an array, since ``.npz`` holds no text but as objects."""
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), dtype=np.uint8)


def direction_name(i: int) -> str:
    """Return the name of a direction of the features.

    Example:
        >>> direction_name(0), direction_name(5)
        ('features, direction 1', 'features, direction 6')
    """
    return f"features, direction {i + 1}"


def summarise(
    values: Mapping[str, tuple[Where, Values]],
    *,
    source: str,
    n: int,
    features: NDArray[np.floating] | None = None,
    classes: Sequence[str] = (),
    labels: pl.Series | None = None,
) -> Reference:
    """Summarise the examples that count as usual.

    Args:
        values: The values of each column and prediction ``(n,)`` by name, and what they are of.
        source: What the examples are, to be told.
        n: How many there are.
        features: Features of some of them ``(m, d)``.
        classes: The classes of the model, whose shares among labels are watched.
        labels: Labels of some examples.
    """
    mean, directions = _directions(features)
    channels = [_channel(name, where, given) for name, (where, given) in values.items()]
    of_values = {name: given for name, (_, given) in values.items()}
    channels += [Channel(LABELS, "labels", values=tuple(classes[:NAMED]))] if classes else []
    if labels is not None:
        of_values[LABELS] = labels
    found = Reference((), np.zeros((0, 1), dtype=np.int64), mean, directions, source, n)
    if features is not None:
        projected = found.project(features)
        channels += [_channel(name, "features", given) for name, given in projected.items()]
        of_values |= projected
    counts = [_counted(channel, of_values.get(channel.name), _width(channels)) for channel in channels]
    return Reference(tuple(channels), np.stack(counts), mean, directions, source, n)


LABELS = "labels"
"""The channel of true classes."""


def _width(channels: Sequence[Channel]) -> int:
    return max((channel.bins for channel in channels), default=0)


def _counted(channel: Channel, values: Values | None, width: int) -> Counts:
    counts = np.zeros(width + 1, dtype=np.int64)
    if values is not None and len(values):
        found = np.bincount(channel.codes(values), minlength=channel.bins + 1)
        counts[: channel.bins], counts[-1] = found[:-1], found[-1]
    return counts


def _channel(name: str, where: Where, values: Values) -> Channel:
    if isinstance(values, pl.Series):
        common = values.cast(pl.String).drop_nulls().value_counts(sort=True)[values.name].head(NAMED).to_list()
        return Channel(name, where, values=tuple(sorted(common)) or ("",))
    return Channel(name, where, edges=edges_of(values))


def edges_of(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the upper edges of bins with about equal shares; a value that many examples have gets its own bin.

    The first bin is below all values, and what is above the last edge is above all values.

    Example:
        >>> edges_of(np.array([0.0] * 5 + [1.0] * 5))
        (-5e-324, 0.0, 0.9999999999999999, 1.0)
    """
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return (0.0,)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:], method="inverted_cdf"))
    first, last = np.searchsorted(known, edges, "left"), np.searchsorted(known, edges, "right")
    heavy = edges[last - first > len(known) / (2 * BINS)]
    below = np.nextafter([*heavy, known[0]], -np.inf)
    return tuple(np.unique([*edges, *below]).tolist())


def _directions(features: NDArray[np.floating] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean, and directions of most variance and random ones, all with variance 1."""
    if features is None or len(features) < 2 or not features.shape[1]:
        return np.zeros(0), np.zeros((0, 0))
    x = features.astype(np.float64)
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x - mean, rowvar=False).reshape(x.shape[1], -1))
    main = vectors[:, np.argsort(-values)[:DIRECTIONS]]
    scale = np.sqrt(values.clip(max(values.max() * 1e-2, 1e-12)))
    drawn = np.random.default_rng(0).normal(size=(x.shape[1], min(DIRECTIONS, x.shape[1])))
    whitened = (vectors / scale) @ drawn  # so that a random direction is not another principal one
    directions = np.concatenate([main, whitened], axis=1)
    spread = np.sqrt(np.einsum("ij,ij->j", directions, np.cov(x, rowvar=False).reshape(len(mean), -1) @ directions))
    return mean, directions[:, spread > 1e-9] / spread[spread > 1e-9]
