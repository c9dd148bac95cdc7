"""The online core: counts in, alarms out; its state is a few arrays, wherever a process is stopped."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, xlogy
from scipy.stats import norm

from acclimate.shift import effects
from acclimate.shift.columns import percent
from acclimate.shift.stream.alarms import Alarm
from acclimate.shift.stream.reference import Channel, Counts, Reference, Values
from acclimate.shift.stream.tolerance import p_of_rise

EVERY = 500
"""Examples of a window."""
SCALES = (1, 2, 4, 8, 16)
"""How many of the last windows are compared together: many show a small move, few a sudden one."""
ALPHA = 0.05
"""Bound on the probability of any false alarm, however long the stream."""
FEWEST = 20
"""Fewest examples that are compared."""
SCREENED = 2.0
"""Standard errors beyond the tolerance below which no p-value is computed: it could not raise an alarm."""
KEPT = 2000
"""Windows whose effects are kept for the page."""

Numbers = NDArray[np.float64]
State = dict[str, NDArray[np.generic]]


class _Sets(NamedTuple):
    """The sets of values of each channel whose shares are tested: runs of bins of numbers, single texts.

    Attributes:
        first: First bin of each set ``(s,)``.
        last: The bin after its last ``(s,)``.
        tested: Which sets a channel has ``(channels, s)``.
    """

    first: Counts
    last: Counts
    tested: NDArray[np.bool_]

    @classmethod
    def of(cls, channels: tuple[Channel, ...], width: int) -> "_Sets":
        """The sets of these channels."""
        first, last = np.triu_indices(width)
        last = last + 1
        tested = np.stack(
            [(last <= c.bins) & ((last - first < c.bins) if c.is_ordered else (last - first == 1)) for c in channels]
        )
        return cls(first, last, tested)

    def sums(self, counts: Counts) -> Numbers:
        """Examples of each channel in each set ``(channels, s)``."""
        cumulative = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts[:, :-1], axis=1)], axis=1)
        return np.asarray(cumulative[:, self.last] - cumulative[:, self.first], dtype=np.float64)


class _Largest(NamedTuple):
    """The most significant rise or fall of each channel: one row of values, one of missing values.

    Attributes:
        p: p-values, corrected over the sets of a channel ``(2, channels)``.
        place: The set of each; that of missing values means nothing.
        rise: The change of its share.
    """

    p: Numbers
    place: Counts
    rise: Numbers


class Monitor:
    """Compares a stream with a reference, window by window.

    A window, and the last 2, 4, 8 and 16 windows together, are tested: did the share of any run of bins, of any text,
    or of missing values, change by more than the tolerance allows? The p-values are corrected over sets, windows
    together, channels (Holm) and, by spending the error probability, over all windows that ever come, so that the
    probability of any false alarm in the whole stream stays below `ALPHA`. Examples count as independent.

    Args:
        reference: What is usual.
        every: Examples of a window.
        tolerance: The effect that is no alarm, in standard deviations; see `acclimate.shift.effects`.

    Example:
        ``Monitor(reference).update({"age": ages, "town": towns}, len(ages))``
    """

    def __init__(self, reference: Reference, *, every: int = EVERY, tolerance: float = effects.SMALL):
        self.reference, self.every, self.tolerance = reference, every, tolerance
        self.distance = float(2 * norm.cdf(tolerance / 2) - 1)
        self.sets = _Sets.of(reference.channels, reference.width)
        of_columns = np.array([channel.where == "column" for channel in reference.channels])
        self.weights = np.where(of_columns, 0.5 / max(of_columns.sum(), 1), 0.5 / max((~of_columns).sum(), 1))
        self.rows, self.windows, self.pending = 0, 0, 0
        self.usual = reference.counts.copy()
        self.current = np.zeros_like(self.usual)
        self.last, self.sizes = np.zeros((0, *self.usual.shape), dtype=np.int64), np.zeros(0, dtype=np.int64)
        self.alarmed = np.zeros((2, len(reference.channels)), dtype=bool)
        self.effects = np.zeros((0, len(reference.channels)), dtype=np.float32)

    def update(self, values: Mapping[str, Values], n: int) -> list[Alarm]:
        """Take the next ``n`` examples; return the alarms that they raise."""
        if not n:
            return []
        windows = (np.arange(n) + self.pending) // self.every
        alarms: list[Alarm] = []
        for counts, size in zip(self.reference.count(values, windows), np.bincount(windows).tolist(), strict=True):
            self.current += counts
            self.pending += size
            self.rows += size
            if self.pending == self.every:
                alarms += self.close()
        return alarms

    def close(self) -> list[Alarm]:
        """End the window now, and return the alarms that it raises."""
        if not self.pending:
            return []
        self.windows += 1
        self._learn()
        self.last = np.concatenate([self.last, self.current[None]])[-max(SCALES) :]
        self.sizes = np.append(self.sizes, self.pending)[-max(SCALES) :]
        self.current, self.pending = np.zeros_like(self.current), 0
        largest = [self._largest(self.last[-scale:].sum(0)) for scale in SCALES if scale <= len(self.last)]
        self._note(largest[0])
        best = np.argmin([of_scale.p for of_scale in largest], axis=0)
        p = np.min([of_scale.p for of_scale in largest], axis=0) * len(SCALES)
        corrected = effects.holm(p.ravel(), np.tile(self.weights, 2).tolist()).reshape(p.shape)
        found = corrected * self.windows * (self.windows + 1) <= ALPHA
        new = found & ~self.alarmed
        self.alarmed = found | (self.alarmed & (largest[0].rise > self.distance))
        places = [(int(i), int(c)) for i, c in np.argwhere(new)]
        return [self._alarm(i, c, largest[best[i, c]], float(corrected[i, c])) for i, c in places]

    def _learn(self) -> None:
        """Labels have no reference before they come: the first window of them is it."""
        for i, channel in enumerate(self.reference.channels):
            if channel.where == "labels" and self.usual[i, :-1].sum() < self.every:
                self.usual[i] += self.current[i]
                self.current[i] = 0

    def _largest(self, counts: Counts) -> _Largest:
        """The most significant change of each channel."""
        n, m = counts[:, :-1].sum(1, keepdims=True), self.usual[:, :-1].sum(1, keepdims=True)
        values = self._of_sets(self.sets.sums(counts), n, self.sets.sums(self.usual), m, self.sets.tested)
        lost, usual = counts[:, -1:], self.usual[:, -1:]
        can_lack = np.array([[channel.where == "column"] for channel in self.reference.channels])
        missing = self._of_sets(lost.astype(np.float64), n + lost, usual.astype(np.float64), m + usual, can_lack)
        return _Largest(*(np.stack(both) for both in zip(values, missing, strict=True)))

    def _of_sets(
        self, x: Numbers, n: Counts, y: Numbers, m: Counts, tested: NDArray[np.bool_]
    ) -> tuple[Numbers, Counts, Numbers]:
        """The p-value of each channel's most significant set, its place, and the change of its share."""
        n, m = np.broadcast_to(np.maximum(n, 1), x.shape), np.broadcast_to(np.maximum(m, 1), x.shape)
        rise = np.where(tested & (n >= FEWEST) & (m >= FEWEST), x / n - y / m, 0.0)
        spread = np.sqrt(_variance(x, n) + _variance(y, m))
        place = np.argmax((np.abs(rise) - self.distance) / spread, axis=1)
        at = np.arange(len(x)), place
        x, n, y, m, rise = x[at], n[at], y[at], m[at], rise[at]
        x, y = np.where(rise < 0, n - x, x), np.where(rise < 0, m - y, y)
        p, far = np.ones(len(x)), np.abs(rise) - self.distance > SCREENED * spread[at]
        if far.any():
            p[far] = p_of_rise(x[far], n[far], y[far], m[far], self.distance)
        return np.minimum(1, p * 2 * np.maximum(tested.sum(1), 1)), place, np.abs(rise)

    def _note(self, of_window: _Largest) -> None:
        """Keep the effects of a window for the page."""
        shifts = (2 * ndtri((1 + of_window.rise.max(0)) / 2)).clip(0, effects.LARGEST)[None]
        self.effects = np.concatenate([self.effects, shifts.astype(np.float32)])[-KEPT:]

    def _alarm(self, missing: int, i: int, largest: _Largest, p: float) -> Alarm:
        channel, place = self.reference.channels[i], int(largest.place[missing, i])
        first, last = (-1, -1) if missing else (int(self.sets.first[place]), int(self.sets.last[place]))
        start = self._start(i, first, last)
        before, after = self._share(self.usual, i, first, last), self._share(self.last[start:].sum(0), i, first, last)
        what = f"{channel.name} is missing" if missing else channel.words(first, last)
        return Alarm(
            where="missing" if missing else channel.where,
            name=channel.name,
            row=self.rows,
            since=self.rows - int(self.sizes[start:].sum()),
            effect=round(effects.effect_of_distance(abs(after - before)), 4),
            p=p * self.windows * (self.windows + 1),
            text=f"{what}: {percent(before)} → {percent(after)} of rows",
        )

    def _start(self, i: int, first: int, last: int) -> int:
        """The window from which the share has most likely been beyond the tolerance."""
        q = min(max(self._share(self.usual, i, first, last), 1e-9), 1 - 1e-9)
        gains = []
        for start in range(len(self.last)):
            counts = self.last[start:].sum(0)
            p, n = self._share(counts, i, first, last), counts[i].sum()
            gain = float(n * (xlogy(p, p / q) + xlogy(1 - p, (1 - p) / (1 - q))))
            gains.append(gain if abs(p - q) > self.distance else 0.0)
        return int(np.argmax(gains))

    @staticmethod
    def _share(counts: Counts, i: int, first: int, last: int) -> float:
        """The share of a run of bins among the values that are there; of missing values among all if there is none."""
        if first < 0:
            return float(counts[i, -1] / max(counts[i].sum(), 1))
        return float(counts[i, first:last].sum() / max(counts[i, :-1].sum(), 1))

    def state(self) -> State:
        """Return all that decides which alarms come next, and what the page shows, as arrays."""
        return {name: np.asarray(getattr(self, name)) for name in STATE}

    def restore(self, state: State) -> None:
        """Continue from a state.

        Raises:
            ValueError: It is of another reference.
        """
        for name in STATE:
            usual, grows = np.asarray(getattr(self, name)), name in GROWING
            if state[name].ndim != usual.ndim or state[name].shape[grows:] != usual.shape[grows:]:
                raise ValueError(f"{name} has another shape")
            setattr(self, name, int(state[name]) if not usual.ndim else state[name].astype(usual.dtype))


def _variance(x: Numbers, n: Counts) -> Numbers:
    """The variance of a share, never zero."""
    p = (x + 0.5) / (n + 1)
    return np.asarray(p * (1 - p) / n)


STATE = ("rows", "windows", "pending", "usual", "current", "last", "sizes", "alarmed", "effects")
"""The attributes of a monitor that change."""
GROWING = ("last", "sizes", "effects")
"""Those whose first dimension does."""
