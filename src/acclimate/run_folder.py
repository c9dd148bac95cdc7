"""A run's folder: the only place that knows its file names. Everything is written beside and renamed."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from acclimate.errors import BadInput
from acclimate.files import Write, explain_disk_errors, partial_path, write_atomically
from acclimate.recipe import Recipe

FORMAT = 2
"""Grows when a Run is written that older software cannot read."""


PARTIAL = re.compile(r"\..+\.\d+\.partial")
"""Names that `RunFolder.write` gives to files until they are whole."""
ROOMS = ("", "models", "checkpoints", "outputs")
"""Where a Run's files lie, below its folder."""

Line = dict[str, Any]
"""One line of ``losses.jsonl``: ``seed``, ``phase``, ``step`` and losses by name."""


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
        """A finished Run.

        Raises:
            BadInput: There is none, it is not finished, or newer software wrote it.
        """
        run = cls(path)
        if not run.path.exists():
            raise BadInput(f"{path}: no such Run; give the folder that `adapt -o` wrote")
        if not run.file("recipe.yaml").is_file():
            raise BadInput(f"{path}: not a Run (it has no recipe.yaml); give the folder that `adapt -o` wrote")
        run.check_format()
        if not run.file("scores.json").is_file():
            raise BadInput(f"{path}: this Run is not finished; go on with `acclimate adapt … -o {path} --resume`")
        return run

    def check_format(self) -> None:
        """Refuse a Run that newer software wrote.

        Raises:
            BadInput: Its format is newer than this software.
        """
        form = self.environment.get("format")
        if not isinstance(form, int) or form > FORMAT:
            raise BadInput(f"{self.path}: a Run of format {form}, newer than this Acclimate reads ({FORMAT}); upgrade")

    def file(self, name: str) -> Path:
        """Where ``name`` lies."""
        return self.path / name

    @cached_property
    def recipe(self) -> Recipe:
        """What it was trained by."""
        return Recipe.load(self.file("recipe.yaml"))

    @property
    def scores(self) -> dict[str, Any]:
        """``scores.json``."""
        return self._json("scores.json")

    @property
    def environment(self) -> dict[str, Any]:
        """``environment.json``: versions, devices, times, the format."""
        return self._json("environment.json")

    def weights(self, seed: int, phase: str) -> Path:
        """The model of one seed and phase, e.g. ``adapted``: a network's weights, or what scikit-learn fitted."""
        fitted = self.fitted(seed, phase)
        return fitted if fitted.exists() else self.file(f"models/{phase}-{seed}.safetensors")

    def fitted(self, seed: int, phase: str) -> Path:
        """Where the model of one seed lies if scikit-learn fitted it."""
        return self.file(f"models/{phase}-{seed}.skops")

    def checkpoint(self, seed: int, phase: str) -> Path:
        """Where a training that is under way can go on."""
        return self.file(f"checkpoints/{phase}-{seed}.ckpt")

    def outputs(self, seed: int, phase: str, domain: str) -> Path:
        """What a model said of a domain: a Parquet of predictions, probabilities, features."""
        return self.file(f"outputs/{domain}-{phase}-{seed}.parquet")

    def losses(self) -> Iterator[Line]:
        """Every line of ``losses.jsonl``."""
        with self.file("losses.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

    def make(self) -> None:
        """Make the folder, and those above it that are missing.

        Raises:
            BadInput: It cannot be made.
        """
        with explain_disk_errors(self.path):
            self._make(self.path)

    def write(self, name: str, write: Write) -> Path:
        """Have ``write`` make a file at a temporary name, then rename it: nobody ever sees half of it.

        Raises:
            BadInput: It cannot be written, e.g. the disk is full.
        """
        target = self.file(name)
        with explain_disk_errors(target):
            self._make(target.parent)
            write_atomically(target, write)
        self._written.add(target)
        return target

    def check_links(self) -> None:
        """Refuse a folder in which something that a Run writes is a link to another place.

        Raises:
            BadInput: There is one.
        """
        for room in ROOMS:
            for path in [self.file(room), *self.file(room).glob("*")]:
                if path != self.path and path.is_symlink():
                    raise BadInput(f"{path}: is a link, and a Run writes to its own folder alone; remove the link")

    def sweep(self) -> None:
        """Remove the partial files that a process left beside a Run's files when it was killed."""
        for left in (path for room in ROOMS for path in self.file(room).glob(".*.partial")):
            if PARTIAL.fullmatch(left.name):
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    def has_trained(self) -> bool:
        """Whether a training has left a model or a checkpoint."""
        return any(path.is_file() for room in ("models", "checkpoints") for path in self.file(room).glob("*-*.*"))

    def discard(self, *names: str) -> None:
        """Remove the files that this object wrote, and the folders it made as far as they are empty then.

        Args:
            names: Files that another process wrote for it.
        """
        for path in self._written.union(map(self.file, names)):
            path.unlink(missing_ok=True)
        for path in sorted(self._made, key=lambda path: -len(path.parts)):
            with suppress(OSError):  # it holds what somebody else has put there
                path.rmdir()
        self._written, self._made = set(), []

    def append(self, name: str, lines: str) -> None:
        """Add whole lines to a file in one call of the system, so that a kill tears none."""
        target = self.file(name)
        with explain_disk_errors(target):
            self._make(target.parent)
            file = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, lines.encode())
            finally:
                os.close(file)
        self._written.add(target)

    def write_json(self, name: str, value: Any) -> Path:
        """Write ``value`` as JSON."""
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        return self.write(name, lambda path: path.write_text(text + "\n", "utf-8"))

    def write_folder(self, name: str, write: Write) -> Path:
        """Have ``write`` fill a folder at a temporary name, then rename it; one that is there already stays.

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
                partial.mkdir()
                write(partial)
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

    def _json(self, name: str) -> dict[str, Any]:
        path = self.file(name)
        try:
            value = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{path}: not a readable part of a Run ({error}); was it changed by hand or cut off?"
            ) from error
        if not isinstance(value, dict):
            raise BadInput(f"{path}: not a readable part of a Run; was it changed by hand or cut off?")
        return value


_PREPROCESS = r"preprocess|\.preprocess\.\d+\.partial"
_FOLDERS = re.compile(rf"models|checkpoints|outputs|{_PREPROCESS}")
_FILES = re.compile(
    r"recipe\.yaml|environment\.json|losses\.jsonl|scores\.json|report\.html|model\.(safetensors|skops)"
    r"|(models|checkpoints)/(source_only|pretrained|adapted)-\d+\.(safetensors|skops|ckpt)"
    r"|outputs/(source_val|target|scored|scored_tta)-(source_only|adapted)-\d+\.parquet"
    r"|outputs/(snippets|strip)-\w+\.parquet"
    rf"|({_PREPROCESS})/(preprocess\.json|pipeline\.skops)"
)
"""What a Run writes, below its folder; not an encoder's own files, which have any name."""


def sort_run(path: Path) -> tuple[list[Path], list[Path]]:
    """What lies in a Run's folder: what a Run writes, deepest first, and whatever else there is, links among it."""
    ours: list[Path] = []
    strange = [path] if path.is_symlink() or path.is_file() else []
    for found in sorted(path.rglob("*"), reverse=True) if not strange else ():
        (ours if _is_a_runs(found, found.relative_to(path).as_posix()) else strange).append(found)
    return ours, strange


def _is_a_runs(path: Path, name: str) -> bool:
    if path.is_symlink():
        return False
    if path.is_dir():
        return _FOLDERS.fullmatch(name) is not None
    folder, _, file = name.rpartition("/")
    return _FILES.fullmatch(name) is not None or (folder in ROOMS and PARTIAL.fullmatch(file) is not None)
