"""The folder of a Run: the only module that knows its file names. Every file is written atomically."""

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

from acclimate import typed_json
from acclimate.contents import Audited, DataSummary, Environment, Line, Scores
from acclimate.errors import BadInput, damaged
from acclimate.files import (
    Write,
    append_whole,
    explain_disk_errors,
    explain_paths,
    partial_path,
    settle,
    usual_mode,
    write_atomically,
)
from acclimate.formats import upgrade_scores
from acclimate.recipe import LARGEST_SEED, Recipe

T = TypeVar("T")
FORMAT = 3
"""Version of the format; it grows when older software cannot read new Runs."""


PARTIAL = re.compile(r"\..+\.\d+\.partial")
"""Temporary names that `RunFolder.write` gives to files until they are complete."""
MOST_STEPS = 2**40
SUBFOLDERS = ("", "models", "checkpoints", "outputs", "trials")
"""Sub-folders of a Run that hold its files; the empty name is the Run's folder itself."""


PLACES = ("", "trials/*/", "trials/cells/*/", "trials/cells/*/cell/")
"""Where models and checkpoints lie: in the Run itself, in trials of strategies, and in those of methods."""


class RunFolder:
    """The files of one Run.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._written: set[Path] = set()
        self._made: list[Path] = []

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Open a finished Run.

        Raises:
            BadInput: There is no Run, it is not finished, or newer software wrote it.
        """
        run = cls(path)
        with explain_paths(path):
            found = run.path.exists()
        if not found:
            raise BadInput(f"{path}: no such Run; use a folder that `adapt -o` wrote")
        if not run.file("recipe.yaml").is_file():
            raise BadInput(f"{path}: not a Run (it has no recipe.yaml); use a folder that `adapt -o` wrote")
        run.check_links()
        run.check_format()
        if not run.file("scores.json").is_file():
            raise BadInput(f"{path}: this Run is not finished; continue with `acclimate adapt … -o {path} --resume`")
        run.check_scores()
        return run

    def check_scores(self) -> None:
        """Refuse scores that are not of this recipe.

        Raises:
            BadInput: They are of other seeds, phases or classes.
        """
        scores, recipe = self._json("scores.json", Scores), self.recipe
        if scores["kept"] not in recipe.phases:
            raise damaged(self.path, "scores.json", f"keeps the model {scores['kept']!r}, which the recipe has not")
        if scores["seeds"] != list(recipe.seeds):
            raise damaged(self.path, "scores.json", f"seeds {scores['seeds']!s:.80}, the recipe has others")
        if not {*scores.get("positive", ())} <= {*recipe.classes}:
            raise damaged(self.path, "scores.json", "positive classes that the recipe has not")
        needed = NUMBERS if recipe.task == "regression" else CLASSES
        for place, part in _scored(scores):
            if missing := sorted(needed - part.keys()):
                raise damaged(self.path, "scores.json", f"{place} has no {missing[0]}")

    def check_format(self) -> None:
        """Refuse a Run that newer software wrote.

        Raises:
            BadInput: Its format is newer than this software.
        """
        found = self.environment["format"]
        if found < 1:
            raise damaged(self.path, "environment.json", f"format={found}")
        if found > FORMAT:
            raise BadInput(
                f"{self.path}: a Run of format {found}, but this Acclimate reads formats up to {FORMAT}; "
                "upgrade Acclimate"
            )

    def file(self, name: str) -> Path:
        """Return the path of the file ``name``."""
        return self.path / name

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of its training."""
        return Recipe.load(self.file("recipe.yaml"))

    def write_recipe(self, recipe: Recipe) -> None:
        """Write ``recipe.yaml``."""
        self.write("recipe.yaml", recipe.save)
        self.recipe = recipe

    @property
    def scores(self) -> Scores:
        """``scores.json``, in today's form whatever software wrote it."""
        return upgrade_scores(self._json("scores.json", dict[str, Any]))

    @property
    def environment(self) -> Environment:
        """``environment.json``: versions, devices, times, the format."""
        return self._json("environment.json", Environment)

    @property
    def data_summary(self) -> DataSummary:
        """``data.json``: the sizes of all sets, and what differs between the domains; empty in an older Run.

        Raises:
            BadInput: It is damaged.
        """
        if not self.file("data.json").is_file():
            return {"sizes": {}, "moved": []}
        return self._json("data.json", DataSummary)

    @property
    def audited(self) -> Audited | None:
        """``audit.json``: what an audit has shown; None if there was none.

        Raises:
            BadInput: It is damaged.
        """
        return self._json("audit.json", Audited) if self.file("audit.json").is_file() else None

    def weights(self, seed: int, phase: str) -> Path:
        """Return the path of the model of one seed and phase, e.g. ``adapted``: a network's or scikit-learn's."""
        fitted = self.fitted(seed, phase)
        return fitted if fitted.exists() else self.file(f"models/{phase}-{seed}.safetensors")

    def fitted(self, seed: int, phase: str) -> Path:
        """Return the path of the scikit-learn model of one seed and phase."""
        return self.file(f"models/{phase}-{seed}.skops")

    def checkpoint(self, seed: int, phase: str) -> Path:
        """Return the path of the checkpoint from which an interrupted training resumes."""
        return self.file(f"checkpoints/{phase}-{seed}.ckpt")

    def stack_checkpoint(self, seed: int, phase: str) -> Path:
        """Return the path of the checkpoint of several trainings at once, of which this is the first."""
        return self.checkpoint(seed, phase).with_suffix(".stack")

    def outputs(self, seed: int, phase: str, domain: str) -> Path:
        """Return the path of a model's outputs on a domain: a Parquet file of predictions, probabilities, features."""
        return self.file(f"outputs/{domain}-{phase}-{seed}.parquet")

    def losses(self) -> Iterator[Line]:
        """Yield every line of ``losses.jsonl`` but a last one that a full disk or a kill cut off.

        Raises:
            BadInput: A line before the last is not a line of losses.
        """
        with self.file("losses.jsonl").open("rb") as lines:
            for number, text in enumerate(lines, 1):
                if not text.endswith(b"\n"):
                    return
                yield self._line(text, number)

    def _line(self, text: bytes, number: int) -> Line:
        try:
            line: Line = json.loads(text)
            problem = _problem(line)
        except (ValueError, RecursionError):
            problem = "not a line of losses"
        if problem:
            raise damaged(self.path, "losses.jsonl", f"line {number}: {problem}")
        return line

    def make(self) -> None:
        """Create the folder, and those above it that are missing.

        Raises:
            BadInput: It cannot be created.
        """
        with explain_disk_errors(self.path):
            self._make(self.path)

    def write(self, name: str, write: Write) -> Path:
        """Write a file atomically: have ``write`` make it at a temporary name, then rename it.

        Raises:
            BadInput: It cannot be written, e.g. as the disk is full.
        """
        target = self.file(name)
        with explain_disk_errors(target):
            self._make(target.parent)
            write_atomically(target, write)
        self._written.add(target)
        return target

    def check_links(self) -> None:
        """Refuse a folder that holds a symbolic link, or a pipe or device, whose reading may never end.

        Raises:
            BadInput: There is one.
        """
        for folder, folders, files in os.walk(self.path):
            for path in (Path(folder, name) for name in [*folders, *files]):
                mode = path.lstat().st_mode
                if stat.S_ISLNK(mode):
                    raise BadInput(f"{path}: is a link, but a Run consists of its own files only; remove the link")
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                    raise BadInput(f"{path}: is not a regular file, but a Run consists of such; remove it")

    def sweep(self) -> None:
        """Remove the partial files that a killed process left among the Run's files."""
        for partial in (path for subfolder in SUBFOLDERS for path in self.file(subfolder).glob(".*.partial")):
            if PARTIAL.fullmatch(partial.name):
                shutil.rmtree(partial) if partial.is_dir() else partial.unlink()

    def has_trained(self) -> bool:
        """Whether there is a trained model or a checkpoint, also in a trial."""
        folders = [f"{place}{kind}" for place in PLACES for kind in ("models", "checkpoints")]
        found = (path for folder in folders for path in self.path.glob(f"{folder}/*-*.*"))
        return any(path.is_file() for path in found)

    def discard(self, *names: str) -> None:
        """Remove the files that this object wrote, and the folders it made that are then empty.

        Args:
            names: Files that another process wrote for this object.
        """
        for path in self._written.union(map(self.file, names)):
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
        for path in sorted(self._made, key=lambda path: -len(path.parts)):
            with suppress(OSError):  # it holds files of others
                path.rmdir()
        self._written, self._made = set(), []

    def discard_trials(self) -> None:
        """Remove the trials of a Run in which nothing was trained, and the folders that are then empty."""
        for path in sort_run(self.path)[0]:
            if path.relative_to(self.path).parts[0] == "trials":
                with suppress(OSError):  # a folder that holds files of others
                    path.rmdir() if path.is_dir() else path.unlink()

    def remove_training(self, seed: int, phases: Sequence[str]) -> None:
        """Remove the files of a folder that holds nothing but trainings of one seed, and the folders then empty.

        Raises:
            BadInput: There is a link among them.
        """
        self.check_links()
        self.sweep()
        of_phases = [(self.weights(seed, phase), self.checkpoint(seed, phase)) for phase in phases]
        beside = [saved.with_suffix(ending) for _, saved in of_phases for ending in (".safetensors", ".stack")]
        files = [*(path for both in of_phases for path in both), *beside]
        for path in [self.file("recipe.yaml"), self.file("losses.jsonl"), *files]:
            path.unlink(missing_ok=True)
        for folder in self.file("models"), self.file("checkpoints"), self.path:
            with suppress(OSError):  # it does not exist, or holds files of others
                folder.rmdir()

    def append(self, name: str, lines: str) -> None:
        """Append whole lines to a file in one system call, so that a killed process leaves no partial line.

        Raises:
            BadInput: They cannot be written; the file is as it was.
        """
        target = self.file(name)
        with explain_disk_errors(target):
            self._make(target.parent)
            append_whole(target, lines.encode())
        self._written.add(target)

    def write_json(self, name: str, value: Mapping[str, object]) -> Path:
        """Write ``value`` as JSON."""
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        return self.write(name, lambda path: path.write_text(text + "\n", "utf-8"))

    def write_folder(self, name: str, write: Write) -> Path:
        """Have ``write`` fill a folder at a temporary name, then rename it; an existing folder stays as it is.

        Raises:
            BadInput: It cannot be written.
        """
        target = self.file(name)
        if target.is_dir():
            return target
        with explain_disk_errors(target):
            self._make(target.parent)
            partial = partial_path(target)
            try:
                mode = usual_mode(partial)
                partial.mkdir()
                write(partial)
                for path in filter(Path.is_file, partial.rglob("*")):
                    settle(path, mode)
                partial.replace(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        below = sorted(target.rglob("*"))
        self._written.update(path for path in below if not path.is_dir())
        self._made += [target, *(path for path in below if path.is_dir())]
        return target

    def _make(self, folder: Path) -> None:
        self._made += [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)

    def _json(self, name: str, kind: type[T]) -> T:
        try:
            return typed_json.read(self.file(name), kind)
        except ValueError as error:
            raise damaged(self.path, name, str(error)) from error


MEASURED = frozenset({"source_val", "target", "target_tta"})
"""Keys under which scores of a labelled domain stand."""
CLASSES, NUMBERS = frozenset({"accuracy", "f1", "log_loss"}), frozenset({"mae", "rmse", "r2"})
"""Measures of every such part."""


def _scored(scores: Mapping[str, object], above: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every part of the scores that is of a labelled domain, with its dotted name."""
    for key, part in scores.items():
        if isinstance(part, Mapping) and key in MEASURED:
            yield f"{above}{key}", part
        elif isinstance(part, Mapping):
            yield from _scored(part, f"{above}{key}.")


def _problem(line: object) -> str:
    """What is wrong with a line of losses; empty if nothing is."""
    if not isinstance(line, dict):
        return "not a line of losses"
    kinds = {key: type(line.get(key)) for key in ("seed", "phase", "step")}
    if kinds != {"seed": int, "phase": str, "step": int}:
        return "not a line of losses"
    if not 0 < line["step"] < MOST_STEPS or not 0 <= line["seed"] <= LARGEST_SEED:
        return "a seed or step that cannot be"
    wrong = [name for name, loss in line.items() if name != "phase" and not _is_loss(loss)]
    return f"{wrong[0]!r:.40} is not a number" if wrong else ""


def _is_loss(value: object) -> bool:
    return isinstance(value, float | NoneType) or (type(value) is int and abs(value) <= MOST_STEPS)


_PREPROCESS = r"preprocess|\.preprocess\.\d+\.partial"
_CELL = r"trials/cells/\.?[0-9a-f]{16}(/cell)?"
_TRIAL = rf"(trials/\w+|{_CELL})"
_FOLDERS = re.compile(
    rf"models|checkpoints|outputs|trials(/\w+)?|{_CELL}|{_TRIAL}/(models|checkpoints|outputs)|{_PREPROCESS}"
)
_FILES = re.compile(
    rf"({_TRIAL}/)?(recipe\.yaml|losses\.jsonl)|{_CELL}/(cell\.json|run\.lock)|trials/failed/[0-9a-f]{{16}}\.json"
    r"|environment\.json|scores\.json|data\.json|audit\.json|report\.html|run\.lock|reference\.npz|current\.json"
    r"|model\.(safetensors|skops)"
    rf"|({_TRIAL}/)?(models|checkpoints)/(source_only|pretrained|adapted|teacher)-\d+\.(safetensors|skops|ckpt|stack)"
    rf"|({_TRIAL}/)?outputs/(source_val|target|scored|scored_tta)-(source_only|adapted)-\d+\.parquet"
    r"|outputs/(snippets|strip)-\w+\.parquet"
    rf"|({_PREPROCESS})/(preprocess\.json|pipeline\.skops)"
)
"""Names of the files that a Run writes below its folder, except those of an encoder, which may have any name."""


def sort_run(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the paths in a Run's folder that a Run writes, deepest first, and all others, including links."""
    own: list[Path] = []
    others = [path] if path.is_symlink() or path.is_file() else []
    for found in sorted(path.rglob("*"), reverse=True) if not others else ():
        (own if _belongs_to_run(found, found.relative_to(path).as_posix()) else others).append(found)
    return own, others


def _belongs_to_run(path: Path, name: str) -> bool:
    if path.is_symlink():
        return False
    if path.is_dir():
        return _FOLDERS.fullmatch(name) is not None
    folder, _, file = re.sub(rf"^{_TRIAL}/", "", name).rpartition("/")
    return _FILES.fullmatch(name) is not None or (folder in SUBFOLDERS and PARTIAL.fullmatch(file) is not None)
