"""Keep up: a new Run from the recent rows of a stream, which takes over only if the guard finds it better."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from typing_extensions import TypedDict

from acclimate import typed_json
from acclimate.data import Domain, require_path
from acclimate.data.several import pooled_examples
from acclimate.errors import BadInput, damaged
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import ClassOutputs, read_file
from acclimate.runs.run import Run
from acclimate.shift.stream.alarms import Alarm
from acclimate.validators.candidate import Candidate
from acclimate.validators.gates import LEAVE_SOURCE
from acclimate.validators.guard import Labels, Verdict, guard
from acclimate.workflows.adapt import adapt
from acclimate.workflows.compare.caution import cues_of
from acclimate.workflows.options import AdaptKeywords
from acclimate.workflows.usual import seen_by, usual

log = logging.getLogger("acclimate")

FILE = "current.json"
"""Names, in the Run that was watched first, the one that is in use now."""
RECENT = 1000
"""Rows from which a new Run is made, by default."""
SOURCE_FREE = "shot"
"""The method for a Run whose source is gone, unless its own needs none."""
FEWEST = 20
"""Fewest labelled rows that are learnt from, or that decide."""
HELD = 1 / 3
"""Share of the labelled rows, the latest ones, that are kept to decide."""


class Pointer(TypedDict):
    """The content of ``current.json``: folders beside the Run, the last one in use."""

    runs: list[str]


@dataclass(frozen=True)
class Attempt:
    """What became of one adaptation.

    Attributes:
        row: Rows of the stream seen when it began.
        run: The new Run.
        taken: Whether it is in use now.
        why: The guard's reason.
        rows: Recent rows that it learnt from.
        labelled: How many of them had a label.
        before: Accuracy of the Run in use before: on the held-out source (``source_val``), on the latest labelled rows
            (``recent``) and on labelled rows from before the alarm (``earlier``), where they are known.
        after: That of the new one.
    """

    row: int
    run: str
    taken: bool
    why: str
    rows: int
    labelled: int
    before: dict[str, float]
    after: dict[str, float]

    def __str__(self) -> str:
        """One line."""
        forgets = [f"{name} {self.before[name]:.1%} → {one:.1%}" for name, one in self.after.items()]
        told = f" ({', '.join(forgets)})" if forgets else ""
        return f"row {self.row:,}: {self.run} {'is in use now' if self.taken else 'is not used'}: {self.why}{told}"


class Adapting(NamedTuple):
    """How to adapt on an alarm.

    Attributes:
        recent: Rows from which the new Run is made.
        replay: Labelled rows from before, drawn at random, that it learns from, too.
        options: Options of `acclimate.adapt` in place of those by which the Run was made.
    """

    recent: int = RECENT
    replay: int = 0
    options: AdaptKeywords | None = None


class Recent(TypedDict):
    """Rows to adapt to, and what is known of them."""

    rows: Domain
    labels: NDArray[np.str_]
    earlier: Domain | None


def current(run: str | Path) -> Path:
    """Return the folder of the Run that is in use: the given one, or the one that took over from it.

    Raises:
        BadInput: The pointer is damaged, or names a Run that is gone.
    """
    base = RunFolder(run)
    names = _pointer(base)["runs"]
    found = base.path if names[-1] == base.path.name else base.path.parent / names[-1]
    if not found.is_dir():
        raise BadInput(f"{found}: is in use in place of {run}, but is gone; restore it, or add --rollback")
    return found


def rollback(run: str | Path) -> Path:
    """Return to the Run that was in use before, and return its folder.

    Raises:
        BadInput: There is none.
    """
    base = RunFolder(run)
    names = _pointer(base)["runs"]
    if len(names) < 2:
        raise BadInput(f"{run}: is in use itself, so there is nothing to roll back")
    base.write_json(FILE, {"runs": names[:-1]})
    return current(run)


def _pointer(base: RunFolder) -> Pointer:
    if not base.file(FILE).is_file():
        return {"runs": [base.path.name]}
    try:
        found = typed_json.read(base.file(FILE), Pointer)
    except ValueError as error:
        raise damaged(base.path, FILE, str(error)) from error
    if not found["runs"] or any(Path(name).name != name for name in found["runs"]):
        raise damaged(base.path, FILE, "names no Run beside this one")
    return found


def keep_up(base: RunFolder, old: Run, recent: Recent, *, row: int, options: AdaptKeywords) -> Attempt:
    """Adapt to recent rows, and let the new Run take over if the guard finds it better.

    Args:
        base: The Run that was watched first; the new one is made beside it.
        old: The Run in use.
        recent: The rows, with an empty label where there is none.
        row: Rows of the stream seen so far.
        options: Options of `acclimate.adapt` in place of those of the Run.

    Raises:
        BadInput: The Run cannot be adapted again as it was.
    """
    old.require_classes("--on-alarm")
    known = np.flatnonzero(np.isin(recent["labels"], old.recipe.classes))
    held = known[len(known) - round(HELD * len(known)) :] if len(known) >= 3 * FEWEST else known[:0]
    learnt = np.setdiff1d(known, held)
    labelled = _labelled(recent, learnt, old) if len(learnt) >= FEWEST else None
    source = _source(old)
    own = _source_free(old) if isinstance(source, Run) else _options(old, labelled)
    given: AdaptKeywords = {**own, **options}
    new = adapt(source, recent["rows"], _next(base), **given)
    usual(new, recent["rows"])
    before, after = _accuracies(old, recent, held), _accuracies(new, recent, held)
    verdict = _judged(old, new, recent, held)
    if taken := verdict.kept == "adapted":
        base.write_json(FILE, {"runs": [*_pointer(base)["runs"], new.path.name]})
    why = verdict.sentence.partition(": ")[2].rstrip(".")
    return Attempt(row, str(new.path), taken, why, len(recent["rows"]), len(learnt), before, after)


def _source(old: Run) -> str | Run:
    """The recorded source, if it is still there; else the Run, for methods that need no source."""
    paths = old.recipe.source_paths
    try:
        for path in paths:
            require_path(path)
    except BadInput:
        log.warning("%s: the source of this Run is gone; adapting without it", paths[0])
        return old
    return ",".join(paths)


def _source_free(old: Run) -> AdaptKeywords:
    """Options of a training that starts from a Run: by its own method if that needs no source."""
    own = old.recipe.method
    return {"method": own if own in LEAVE_SOURCE else SOURCE_FREE, "steps": old.recipe.train.steps}


def _options(old: Run, labelled: Domain | None) -> AdaptKeywords:
    """The options by which a Run was made, and labelled rows to learn from."""
    recipe = old.recipe
    dotted = {"backbone": recipe.backbone_options, "finetune": recipe.finetune_options}
    settings = {f"{first}.{key}": value for first, of in dotted.items() for key, value in of.items()}
    found: AdaptKeywords = {
        "method": recipe.method_name, "steps": recipe.train.steps, "finetune": recipe.finetune,
        "backbone": recipe.backbone, "seeds": recipe.seeds, "settings": {**settings, **recipe.options},
    }  # fmt: skip
    spec = recipe.source
    if spec.label:
        found["label"] = spec.label
    if spec.text:
        found["text"] = spec.text
    if spec.image:
        found["image"] = spec.image
    if spec.drop:
        found["drop"] = spec.drop
    if labelled is not None:
        found["target_labels"] = labelled
    return found


def _labelled(recent: Recent, learnt: NDArray[np.int64], old: Run) -> Domain:
    """Labelled recent rows, with those from before that are replayed."""
    some = replace(
        recent["rows"].take(learnt), name="recent labels", labels=recent["labels"][learnt],
        label_type=old.recipe.label_type,
    )  # fmt: skip
    if recent["earlier"] is None:
        return some
    earlier = recent["earlier"]
    assert earlier.labels is not None
    names = [f"earlier {i}" for i in range(len(earlier))]
    return replace(
        some, examples=pooled_examples([some, earlier]), names=[*some.names, *names],
        labels=np.concatenate([recent["labels"][learnt], earlier.labels]),
    )  # fmt: skip


def _next(base: RunFolder) -> Path:
    """The first free name beside a Run."""
    n = 2
    while (found := base.path.with_name(f"{base.path.name}-{n}")).exists():
        n += 1
    return found


def _accuracies(run: Run, recent: Recent, held: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy on the held-out source, on the latest labelled rows, and on earlier ones."""
    found: dict[str, float] = {}
    scored = run.scores["source_val"]
    if scored and "accuracy" in scored:
        found["source_val"] = float(scored["accuracy"])
    if len(held):
        found["recent"] = float(_right(run, recent["rows"].take(held), recent["labels"][held]).mean())
    if (earlier := recent["earlier"]) is not None and earlier.labels is not None:
        found["earlier"] = float(_right(run, earlier, earlier.labels).mean())
    return found


def _right(run: Run, rows: Domain, labels: NDArray[np.str_]) -> NDArray[np.bool_]:
    outputs = seen_by(run, rows).outputs
    assert isinstance(outputs, ClassOutputs)
    return np.asarray(np.array(run.recipe.classes)[outputs.predicted] == labels)


def _judged(old: Run, new: Run, recent: Recent, held: NDArray[np.int64]) -> Verdict:
    """What the guard says: by labelled rows that neither Run has learnt from if there are any, else by its cues."""
    gates = [] if new.kept == "adapted" or len(held) else ["its own guard kept source-only"]
    if len(held):
        rows, labels = recent["rows"].take(held), recent["labels"][held]
        right = Labels(_right(old, rows, labels), _right(new, rows, labels))
        return guard({}, labels=right)
    return guard(cues_of(_candidate(old, recent["rows"]), _candidate(new, recent["rows"]), seed=0), gates=gates)


def _candidate(run: Run, rows: Domain) -> Candidate:
    held = read_file(run, run.recipe.seeds[0], run.kept, "source_val", features=True)
    seen = seen_by(run, rows)
    assert isinstance(held, ClassOutputs)
    assert isinstance(seen.outputs, ClassOutputs)
    return Candidate(
        run.recipe.method, held.probabilities, held.true, seen.outputs.probabilities,
        source_features=held.features, source_rows=held.rows, target_features=seen.features.astype(np.float64),
    )  # fmt: skip


class Keeper:
    """Holds the recent rows of a stream, and adapts to them some time after an alarm.

    Args:
        base: The Run that was watched first.
        how: How to adapt.
    """

    def __init__(self, base: RunFolder, how: Adapting):
        self.base = base
        self.recent, self.replay, self.options = how.recent, how.replay, how.options or {}
        self.parts: list[tuple[Domain, NDArray[np.str_]]] = []
        self.earlier: list[Domain] = []
        self.since: int | None = None

    def take(self, rows: Domain, labels: pl.Series | None, alarms: Sequence[Alarm]) -> None:
        """Hold the next rows, and forget those that are no longer recent."""
        texts = [""] * len(rows) if labels is None else labels.fill_null("").to_list()
        self.parts.append((rows, np.array(texts, dtype=np.str_)))
        while sum(len(part) for part, _ in self.parts[1:]) >= self.recent:
            self._keep_some(*self.parts.pop(0))
        self.note(alarms)

    def note(self, alarms: Sequence[Alarm]) -> None:
        """Note since when something has moved: where labels come, an alarm of errors counts, else every alarm."""
        labelled = any((labels != "").any() for _, labels in self.parts)
        told = [alarm.since for alarm in alarms if alarm.where == "error" or not labelled]
        if told and self.since is None:
            self.since = max(told)

    def due(self, row: int, *, last: bool) -> bool:
        """Whether to adapt now: when enough rows came since the move, or at the end of the stream."""
        return self.since is not None and (last or row - self.since >= self.recent)

    def attempt(self, run: Run, row: int) -> Attempt:
        """Adapt to the rows since the move."""
        assert self.since is not None
        examples = pooled_examples([part for part, _ in self.parts])
        labels = np.concatenate([of for _, of in self.parts])
        n = min(len(labels), self.recent, max(row - self.since, 1))
        names = [str(i) for i in range(row - len(labels), row)]
        whole = replace(self.parts[0][0], name=f"rows {row - n} to {row - 1}", examples=examples, names=names)
        rows = np.arange(len(labels) - n, len(labels))
        recent: Recent = {"rows": whole.take(rows), "labels": labels[rows], "earlier": self._replayed(run)}
        self.since = None
        return keep_up(self.base, run, recent, row=row, options=self.options)

    def _keep_some(self, rows: Domain, labels: NDArray[np.str_]) -> None:
        """Hold on to a few labelled rows of the past, an even share of every part."""
        known = np.flatnonzero(labels != "")
        if not self.replay or not len(known):
            return
        self.earlier.append(replace(rows.take(known), labels=labels[known]))
        most = max(1, self.replay // len(self.earlier))
        rng = np.random.default_rng(len(self.earlier))
        self.earlier = [one.take(np.sort(rng.permutation(len(one))[:most])) for one in self.earlier][-self.replay :]

    def _replayed(self, run: Run) -> Domain | None:
        parts = [one for one in self.earlier if one.labels is not None]
        if not parts:
            return None
        labels = np.concatenate([one.labels for one in parts if one.labels is not None])
        names = [str(i) for i in range(len(labels))]
        whole = replace(parts[0], examples=pooled_examples(parts), names=names, labels=labels)
        return whole.take(np.flatnonzero(np.isin(labels, run.recipe.classes)))
