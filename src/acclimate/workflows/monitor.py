"""Monitor: a stream, window by window, compared with what is usual for a Run."""

import logging
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data import Domain, file_of
from acclimate.data.listed import Listing
from acclimate.data.preprocess import TablePreprocess
from acclimate.data.source import Source
from acclimate.data.streams import CsvStream, LineStream, ListedStream, ParquetStream, Stream, followed
from acclimate.data.tables import from_frame
from acclimate.errors import BadInput, did_you_mean
from acclimate.lock import locked_file
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import ClassOutputs, NumberOutputs, read_file
from acclimate.runs.run import Run
from acclimate.shift.effects import SMALL
from acclimate.shift.stream.alarms import Alarm
from acclimate.shift.stream.error_drift import DEFAULT, ErrorDrift
from acclimate.shift.stream.monitor import EVERY, Monitor
from acclimate.shift.stream.reference import LABELS, Reference
from acclimate.workflows.keep_up import Adapting, Attempt, Keeper, current
from acclimate.workflows.monitor_state import Log, Saved, load_state, save_state
from acclimate.workflows.usual import seen_by, slices, usual

log = logging.getLogger("acclimate")

AT_ONCE = 2**14
"""Examples that go through the model at once."""
LARGE_ERROR = 0.9
"""Quantile of the errors on the held-out source from which a regression counts as wrong."""


@dataclass(frozen=True)
class Watched:
    """What a monitor found.

    Attributes:
        run: The Run.
        stream: The stream.
        reference: What it was compared with.
        rows: Rows seen, those of earlier calls with the same state included.
        windows: Windows that were tested.
        labelled: Rows that had a label.
        accuracy: Share of these on which the model was right; None without labels. Of a regression, the share without
            a large error.
        alarms: All alarms, the first one first.
        attempts: The adaptations, taken or not.
        command: The command that adapts to what moved; empty without an alarm.
    """

    run: Path
    stream: str
    reference: str
    rows: int
    windows: int
    labelled: int
    accuracy: float | None
    alarms: tuple[Alarm, ...]
    attempts: tuple[Attempt, ...]
    command: str

    def __str__(self) -> str:
        """A line for each alarm and each adaptation, and a summary."""
        told = [*map(str, self.alarms), *map(str, self.attempts)]
        return "\n".join([*told, *([f"Adapt: {self.command}"] if self.command else []), self.summary])

    @property
    def summary(self) -> str:
        """The result in a sentence."""
        n = len(self.alarms)
        found = "no alarm" if not n else f"{n} alarm{'s' * (n > 1)}"
        right = (
            f"; right on {self.accuracy:.1%} of {self.labelled:,} labelled rows" if self.accuracy is not None else ""
        )
        windows = "1 window" if self.windows == 1 else f"{self.windows:,} windows"
        return f"{found} in {self.rows:,} rows, {windows}, compared with {self.reference}{right}"

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it."""
        return {**asdict(self), "run": str(self.run)}


Tell = Callable[[Alarm | Attempt], None]


class _Options(NamedTuple):
    """How the stream is watched, beside what is watched for."""

    follow: bool
    state: Path | None
    tell: Tell


def monitor(
    run: str | Path | Run,
    stream: "Source | IO[str]",
    *,
    every: int = EVERY,
    label: str | None = None,
    detector: str = DEFAULT,
    tolerance: float = SMALL,
    reference: Source | None = None,
    state: str | Path | None = None,
    page: str | Path | None = None,
    follow: bool = False,
    on_alarm: Adapting | None = None,
    tell: Tell | None = None,
) -> Watched:
    """Compare a stream with what is usual for a Run, and raise alarms where it moved.

    Args:
        run: A finished Run.
        stream: A table, folder or array file, or examples in memory, as `acclimate.data.source.Source`; or an open
            stream of JSON lines. A CSV file is read in blocks.
        every: Rows of a window.
        label: The column with labels that come late; it may be empty in some rows.
        detector: Of river, which watches errors: adwin, ddm, hddm_a, hddm_w or page_hinkley.
        tolerance: Effect that is no alarm, in standard deviations.
        reference: Examples that count as usual, in place of the Run's target.
        state: File from which to continue, and in which to keep where the monitor stands.
        page: File to write as an HTML page.
        follow: Wait for more of a file or folder until interrupted.
        on_alarm: Make a new Run beside this one from the rows since the move, and use it from then on if the guard
            finds it better; by default only raise the alarm.
        tell: Called with each alarm and each adaptation as it comes.

    Raises:
        BadInput: The Run, the stream or the state cannot be read, or they do not fit together.
    """
    base = RunFolder.open(run.path if isinstance(run, Run) else run)
    opened = Run.open(current(base.path))
    if every < 1:
        raise BadInput("--every: must be at least 1; give the rows of a window")
    watcher = Watcher(opened, usual(opened, reference), every, label, detector, tolerance)
    if on_alarm:
        watcher.keeper = Keeper(base, on_alarm)
    place = Path(state) if state is not None else None
    with nullcontext() if place is None else locked_file(place, "another --state"):
        if place is not None and place.exists():
            watcher.restore(load_state(place))
        found = _stream(opened, stream, watcher.pending_rows, label)
        _watch(watcher, found, _Options(follow, place, tell or (lambda told: None)))
    result = watcher.result(base.path, stream if isinstance(stream, str | Path) else "-")
    if page is not None:
        from acclimate.report.monitoring import Timeline, write_page

        shown = Timeline(str(result.run), result.stream, result.summary, result.command, result.alarms, watcher.monitor)
        write_page(Path(page), shown)
    return result


def _watch(watcher: "Watcher", stream: Stream, options: _Options) -> None:
    """Take all chunks; keep the state after each, or after each window where an alarm adapts."""
    whole, own = options.state is None, watcher.log
    try:
        for chunk in followed(stream, own.position, follow=options.follow, whole=whole):
            for part in parts_of(chunk.examples, watcher.at_once, own.skip):
                told = watcher.take(part)
                own.skip += len(part)
                _keep(watcher, options, told)
            own.position, own.skip = chunk.position, 0
            _keep(watcher, options, [])
    except KeyboardInterrupt:
        if not options.follow:
            raise
    if whole:
        _keep(watcher, options, watcher.finish())


def _keep(watcher: "Watcher", options: _Options, told: Sequence[Alarm | Attempt]) -> None:
    if options.state is not None:
        save_state(options.state, watcher.saved())
    for one in told:
        options.tell(one)


def parts_of(examples: pl.DataFrame | Domain, size: int, skip: int) -> Iterator[pl.DataFrame | Domain]:
    """Yield examples in parts, without the first ``skip``."""
    for start in range(skip, len(examples), size):
        if isinstance(examples, Domain):
            yield examples.take(np.arange(start, min(start + size, len(examples))))
        else:
            yield examples[start : start + size]


class Watcher:
    """A monitor of one Run's stream: columns, predictions and features, and errors where labels come."""

    def __init__(self, run: Run, reference: Reference, every: int, label: str | None, detector: str, tolerance: float):
        self.run, self.label = run, label
        self.keeper: Keeper | None = None
        self.monitor = Monitor(reference, every=every, tolerance=tolerance)
        self.errors = ErrorDrift(detector, lasting=every) if label else None
        self.log = Log(every=every, tolerance=tolerance, detector=detector if label else "", reference=reference.n)

    @property
    def at_once(self) -> int:
        """Examples that are taken at once: where an alarm adapts, no more than a window."""
        return self.monitor.every if self.keeper else AT_ONCE

    def take(self, examples: pl.DataFrame | Domain) -> list[Alarm | Attempt]:
        """Take the next examples; return their alarms, and what became of an adaptation that was due."""
        domain, labels = self._read(examples)
        alarms = self._alarms(domain, labels)
        if self.keeper is None:
            return [*alarms]
        self.keeper.take(domain, labels, alarms)
        return [*alarms, *self._adapted(last=False)]

    def _adapted(self, *, last: bool) -> list[Attempt]:
        """Adapt if it is due; the new Run is watched from then on, if it is taken."""
        assert self.keeper
        if not self.keeper.due(self.monitor.rows, last=last):
            return []
        attempt = self.keeper.attempt(self.run, self.monitor.rows)
        self.log.attempts.append(attempt)
        if attempt.taken:
            self.run, before = Run.open(attempt.run), self.monitor
            self.monitor = Monitor(usual(self.run), every=before.every, tolerance=before.tolerance)
            self.monitor.rows, self.monitor.windows = before.rows, before.windows
            self.errors = ErrorDrift(self.errors.name, lasting=self.errors.lasting) if self.errors else None
        return [attempt]

    def _alarms(self, domain: Domain, labels: pl.Series | None) -> list[Alarm]:
        alarms: list[Alarm] = []
        for part, own in zip(slices(domain), _split(labels, len(domain)), strict=True):
            seen = seen_by(self.run, part)
            values = {name: of for name, (_, of) in seen.values.items()}
            values |= self.monitor.reference.project(seen.features)
            first = self.monitor.rows
            if own is not None:
                values[LABELS] = own
                alarms += self._of_errors(seen.outputs, own, first)
            known = {channel.name for channel in self.monitor.reference.channels}
            alarms += self.monitor.update({name: of for name, of in values.items() if name in known}, len(part))
        alarms.sort(key=lambda alarm: alarm.row)
        self.log.alarms += alarms
        return alarms

    def finish(self) -> list[Alarm | Attempt]:
        """Test what is left of a window, and adapt if an alarm waits for rows that do not come."""
        alarms = self.monitor.close()
        self.log.alarms += alarms
        if self.keeper is None:
            return [*alarms]
        self.keeper.note(alarms)
        return [*alarms, *self._adapted(last=True)]

    def _of_errors(self, outputs: ClassOutputs | NumberOutputs, labels: pl.Series, first: int) -> list[Alarm]:
        assert self.errors is not None
        known = labels.is_not_null().to_numpy()
        wrong = self._wrong(outputs, labels)[known]
        self.log.labelled += len(wrong)
        self.log.wrong += int(wrong.sum())
        return self.errors.update(wrong, first + np.flatnonzero(known))

    def _wrong(self, outputs: ClassOutputs | NumberOutputs, labels: pl.Series) -> NDArray[np.bool_]:
        if isinstance(outputs, ClassOutputs):
            predicted = np.array(self.run.recipe.classes)[outputs.predicted]
            return np.asarray(predicted != labels.fill_null("").to_numpy())
        numbers = labels.cast(pl.Float64, strict=False).to_numpy()
        return np.asarray(np.abs(outputs.predicted - numbers) > self._large_error)

    @cached_property
    def _large_error(self) -> float:
        held = read_file(self.run, self.run.recipe.seeds[0], self.run.kept, "source_val")
        assert isinstance(held, NumberOutputs)
        return float(np.quantile(np.abs(held.predicted - held.true), LARGE_ERROR))

    def _read(self, examples: pl.DataFrame | Domain) -> tuple[Domain, pl.Series | None]:
        """The examples, and their labels where a column of them is wanted."""
        if isinstance(examples, Domain):
            labels = None if examples.labels is None or not self.label else pl.Series(examples.labels.tolist())
            return examples.without_labels(), labels
        labels = _labels(examples, self.label) if self.label else None
        columns, label = self.run.columns, self.label
        if isinstance(self.run.preprocess, TablePreprocess):
            examples = examples.select([c for c in self.run.preprocess.columns if c in examples.columns])
        elif label and label in examples.columns:
            examples = examples.drop(label)
        listing = Listing.of_frame("the stream")
        own = columns._replace(drop=(), read_labels=False)
        return from_frame(examples, name="the stream", listing=listing, columns=own), labels

    def saved(self) -> Saved:
        """What the state's file holds."""
        return Saved(self.log, {**self.monitor.state(), **(self.errors.state() if self.errors else {})})

    def restore(self, saved: Saved) -> None:
        """Continue from a state.

        Raises:
            BadInput: It is of another monitor.
        """
        own = self.log
        for name, given in (("every", own.every), ("tolerance", own.tolerance), ("detector", own.detector)):
            if getattr(saved.log, name) != given:
                raise BadInput(
                    f"--state: was made with {name} {getattr(saved.log, name)!r}, not {given!r}; "
                    "give the same, or another file"
                )
        try:
            self.monitor.restore(saved.arrays)
        except (ValueError, KeyError) as error:
            raise BadInput("--state: is of another Run or reference; give another file") from error
        if self.errors:
            self.errors.restore(saved.arrays)
        self.log = saved.log

    @property
    def pending_rows(self) -> int:
        """Rows that the window still lacks."""
        return self.monitor.every - self.monitor.pending

    def result(self, base: Path, stream: str | Path) -> Watched:
        """What was found so far."""
        own, monitor = self.log, self.monitor
        words = ["acclimate", "monitor", str(base), str(stream), "--on-alarm", "adapt"]
        words += ["--label", self.label] if self.label else []
        return Watched(
            run=self.run.path, stream=str(stream), reference=monitor.reference.source, rows=monitor.rows,
            windows=monitor.windows, labelled=own.labelled,
            accuracy=1 - own.wrong / own.labelled if own.labelled else None, alarms=tuple(own.alarms),
            attempts=tuple(own.attempts),
            command=shlex.join(words) if own.alarms and not self.keeper else "",
        )  # fmt: skip


def _split(labels: pl.Series | None, n: int, size: int = 2**14) -> Iterator[pl.Series | None]:
    """Labels in the parts of `slices`."""
    for start in range(0, n, size):
        yield None if labels is None else labels[start : start + size]


def _labels(frame: pl.DataFrame, label: str) -> pl.Series:
    if label not in frame.columns:
        raise BadInput(f"--label: the stream has no column {label!r}; {did_you_mean(label, frame.columns)}")
    texts = frame[label].cast(pl.String).str.strip_chars()
    return texts.set(texts == "", None)


_TYPES = {"numbers": pl.Float64(), "dates": pl.Datetime("us"), "text": pl.String()}


def _stream(run: Run, given: "Source | IO[str]", size: int, label: str | None) -> Stream:
    """What reads the stream."""
    fitted = run.preprocess
    types = (
        {name: _TYPES[kind] for name, kind in fitted.columns.items() if kind in _TYPES}
        if isinstance(fitted, TablePreprocess)
        else {}
    )
    if hasattr(given, "readline"):
        return LineStream(cast("IO[str]", given), types, size)
    path = file_of(str(given)) if isinstance(given, str | Path) else None
    if path is not None and path.is_file() and "#" not in str(given):
        name = path.name.lower()
        if name.endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
            return CsvStream(path, types)
        if name.endswith(".parquet"):
            return ParquetStream(path)
    is_folder = path is not None and path.is_dir()
    return ListedStream(lambda: run.domain(given, read_labels=bool(label)), can_grow=is_folder)
