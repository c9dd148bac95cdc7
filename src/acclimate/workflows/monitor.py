"""Monitor: a stream, window by window, compared with what is usual for a Run."""

import logging
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
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
from acclimate.runs.outputs import ClassOutputs, NumberOutputs, read_file
from acclimate.runs.run import Run
from acclimate.shift.effects import SMALL
from acclimate.shift.stream.alarms import Alarm
from acclimate.shift.stream.error_drift import DEFAULT, ErrorDrift
from acclimate.shift.stream.monitor import EVERY, Monitor
from acclimate.shift.stream.reference import LABELS, Reference
from acclimate.workflows.monitor_state import Log, Saved, load_state, save_state
from acclimate.workflows.usual import seen_by, slices, usual

log = logging.getLogger("acclimate")

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
    command: str

    def __str__(self) -> str:
        """A line for each alarm, and a summary."""
        return "\n".join([*map(str, self.alarms), *([f"Adapt: {self.command}"] if self.command else []), self.summary])

    @property
    def summary(self) -> str:
        """The result in a sentence."""
        n = len(self.alarms)
        found = "no alarm" if not n else f"{n} alarm{'s' * (n > 1)}"
        right = (
            f"; right on {self.accuracy:.1%} of {self.labelled:,} labelled rows" if self.accuracy is not None else ""
        )
        return f"{found} in {self.rows:,} rows, {self.windows:,} windows, compared with {self.reference}{right}"

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it."""
        return {**asdict(self), "run": str(self.run)}


Tell = Callable[[Alarm], None]


class _Options(NamedTuple):
    label: str | None
    follow: bool
    state: Path | None


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
        tell: Called with each alarm as it is raised.

    Raises:
        BadInput: The Run, the stream or the state cannot be read, or they do not fit together.
    """
    opened = run if isinstance(run, Run) else Run.open(run)
    if every < 1:
        raise BadInput("--every: must be at least 1; give the rows of a window")
    watcher = _Watcher(opened, usual(opened, reference), every, label, detector, tolerance)
    place = Path(state) if state is not None else None
    if place is not None and place.exists():
        watcher.restore(load_state(place))
    found = _stream(opened, stream, watcher.pending_rows, label)
    _watch(watcher, found, _Options(label, follow, place), tell or (lambda alarm: None))
    result = watcher.result(
        stream if isinstance(stream, str | Path) else "-" if hasattr(stream, "readline") else "data"
    )
    if page is not None:
        from acclimate.report.monitoring import Timeline, write_page

        shown = Timeline(str(result.run), result.stream, result.summary, result.command, result.alarms, watcher.monitor)
        write_page(Path(page), shown)
    return result


def _watch(watcher: "_Watcher", stream: Stream, options: _Options, tell: Tell) -> None:
    """Take all chunks; after each keep the state, then tell its alarms."""
    whole = options.state is None
    try:
        for chunk in followed(stream, watcher.log.position, follow=options.follow, whole=whole):
            alarms = watcher.take(chunk.examples)
            watcher.log.position = chunk.position
            if options.state is not None:
                save_state(options.state, watcher.saved())
            for alarm in alarms:
                tell(alarm)
    except KeyboardInterrupt:
        if not options.follow:
            raise
    if whole:
        for alarm in watcher.finish():
            tell(alarm)


class _Watcher:
    """A monitor of one Run's stream: columns, predictions and features, and errors where labels come."""

    def __init__(self, run: Run, reference: Reference, every: int, label: str | None, detector: str, tolerance: float):
        self.run, self.label = run, label
        self.monitor = Monitor(reference, every=every, tolerance=tolerance)
        self.errors = ErrorDrift(detector, lasting=every) if label else None
        self.log = Log(every=every, tolerance=tolerance, detector=detector if label else "", reference=reference.n)

    def take(self, examples: pl.DataFrame | Domain) -> list[Alarm]:
        """Take the next examples, and return their alarms."""
        domain, labels = self._read(examples)
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

    def finish(self) -> list[Alarm]:
        """Test what is left of a window."""
        alarms = self.monitor.close()
        self.log.alarms += alarms
        return alarms

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

    @property
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

    def result(self, stream: str | Path) -> Watched:
        """What was found so far."""
        own, monitor = self.log, self.monitor
        words = ["acclimate", "monitor", str(self.run.path), str(stream), "--on-alarm", "adapt"]
        words += ["--label", self.label] if self.label else []
        return Watched(
            run=self.run.path, stream=str(stream), reference=monitor.reference.source, rows=monitor.rows,
            windows=monitor.windows, labelled=own.labelled,
            accuracy=1 - own.wrong / own.labelled if own.labelled else None, alarms=tuple(own.alarms),
            command=shlex.join(words) if own.alarms else "",
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
