"""Where a monitor stands, in one file that is whole or not there, so that a killed process loses no alarm."""

import glob
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from acclimate.data.streams import Position
from acclimate.errors import BadInput
from acclimate.files import explain_disk_errors, write_atomically
from acclimate.shift.stream.alarms import Alarm
from acclimate.shift.stream.monitor import State
from acclimate.shift.stream.reference import as_bytes
from acclimate.workflows.keep_up import Attempt

FORMAT = 1


@dataclass
class Log:
    """What a monitor keeps beside arrays.

    Attributes:
        every: Rows of a window.
        tolerance: Effect that is no alarm.
        detector: Of errors; empty without labels.
        reference: Examples of the reference.
        position: How far the stream was read.
        alarms: All alarms so far.
        labelled: Rows with a label.
        wrong: Rows of these on which the model was wrong.
        skip: Rows after the position that were taken already.
        attempts: All adaptations so far.
    """

    every: int
    tolerance: float
    detector: str
    reference: int
    position: Position = 0
    alarms: list[Alarm] = field(default_factory=list)
    labelled: int = 0
    wrong: int = 0
    skip: int = 0
    attempts: list[Attempt] = field(default_factory=list)


class Saved(NamedTuple):
    """What the file holds."""

    log: Log
    arrays: State


def save_state(path: Path, saved: Saved) -> None:
    """Write the file at a temporary name, then rename it.

    Raises:
        BadInput: It cannot be written.
    """

    def write(place: Path) -> None:
        with place.open("wb") as file:
            arrays: dict[str, Any] = {"log": as_bytes({"format": FORMAT, **asdict(saved.log)}), **saved.arrays}
            np.savez(file, **arrays)

    with explain_disk_errors(path):
        write_atomically(path, write)


def load_state(path: Path) -> Saved:
    """Read what `save_state` wrote, and remove what killed processes left half-written beside it.

    The caller holds the lock of the file (`acclimate.lock.locked_file`).

    Raises:
        BadInput: It is not such a file.
    """
    _sweep(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text = json.loads(arrays.pop("log").tobytes())
        if text.pop("format") != FORMAT:
            raise ValueError("its format is another version's")
        return Saved(TypeAdapter(Log).validate_python(text), arrays)
    except BadInput:
        raise
    except Exception as error:  # damaged files fail in many ways
        raise BadInput(f"{path}: not the state of a monitor ({type(error).__name__}); give another --state") from error


def _sweep(path: Path) -> None:
    """Remove the temporary files of earlier monitors, which are gone, as the lock of the state tells."""
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if partial.name.split(".")[-2].isdecimal():
            partial.unlink(missing_ok=True)
