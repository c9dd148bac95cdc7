"""Whether a model errs more often than it did, once labels come: detectors of river."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput, did_you_mean
from acclimate.shift.stream.alarms import Alarm
from acclimate.shift.stream.tolerance import p_of_rise

LEAST_RISE = 0.02
"""Rise of the error rate below which no alarm is raised."""
SURE = 0.001
"""Largest p-value of a rise within `LEAST_RISE`, in the second half of the labels after which it must last."""
FEWEST = 30
"""Fewest labels before a rise."""
MOST = 1_000_000
"""Labels after which a detector starts anew, so that its past can be kept."""
DETECTORS: dict[str, tuple[str, str]] = {
    "adwin": ("river.drift", "ADWIN"),
    "ddm": ("river.drift.binary", "DDM"),
    "hddm_a": ("river.drift.binary", "HDDMA"),
    "hddm_w": ("river.drift.binary", "HDDMW"),
    "page_hinkley": ("river.drift", "PageHinkley"),
}
"""Module and class of each detector."""
DEFAULT = "adwin"


def check_detector(name: str) -> None:
    """Refuse an unknown detector, or any if river is not installed.

    Raises:
        BadInput: There is no such detector.
    """
    if name not in DETECTORS:
        raise BadInput(f"--detector {name}: unknown; {did_you_mean(name, DETECTORS)}")
    if not importlib.util.find_spec("river"):
        raise BadInput("--label: watching errors needs the package river; run `pip install acclimate[monitor]`")


def _made(name: str) -> Any:
    module, kind = DETECTORS[name]
    make: Callable[[], Any] = getattr(importlib.import_module(module), kind)
    return make()


class ErrorDrift:
    """Raises an alarm when errors become more frequent.

    A detector of river starts anew after each alarm, and sees the errors since then again when a state is restored.

    Args:
        name: Which; see `DETECTORS`.
        lasting: Labels for which a detected rise must last; streams in time have short bursts of errors.
    """

    def __init__(self, name: str = DEFAULT, *, lasting: int = 500):
        check_detector(name)
        self.name, self.lasting = name, lasting
        self.detector = _made(name)
        self.errors: list[bool] = []
        self.rows: list[int] = []
        self.suspect: int | None = None

    def update(self, wrong: NDArray[np.bool_], rows: NDArray[np.int64]) -> list[Alarm]:
        """Take the next labelled examples: whether the model was wrong ``(n,)``, and their rows in the stream."""
        alarms = []
        for one, row in zip(wrong.tolist(), rows.tolist(), strict=True):
            self.rows.append(row)
            self._step(one)
            if self.suspect is not None and len(self.errors) - self.suspect >= self.lasting:
                if alarm := self._confirmed(self.suspect):
                    alarms.append(alarm)
                self._restart()
            elif self.suspect is None and len(self.errors) >= MOST:
                self._restart()
        return alarms

    def _step(self, wrong: bool) -> None:
        self.errors.append(wrong)
        if self.suspect is None:
            self.detector.update(wrong)
            if self.detector.drift_detected:
                self.suspect = split_of(np.array(self.errors))

    def _confirmed(self, at: int) -> Alarm | None:
        """The alarm, if the error rate stayed higher for a while."""
        errors = np.array(self.errors)
        before, after = float(errors[:at].mean()), float(errors[at:].mean())
        if at < FEWEST:
            return None
        later = errors[at + self.lasting // 2 :]
        x, n, y, m = (np.array([float(one)]) for one in (later.sum(), len(later), errors[:at].sum(), at))
        [p] = p_of_rise(x, n, y, m, LEAST_RISE).tolist()
        return self._alarm(at, before, after, p) if p <= SURE else None

    def _alarm(self, at: int, before: float, after: float, p: float) -> Alarm:
        text = f"the model errs on {after:.1%} of labelled rows, before on {before:.1%}"
        return Alarm("error", self.name, self.rows[-1] + 1, self.rows[at], round(after - before, 4), p, text)

    def _restart(self) -> None:
        self.detector, self.errors, self.rows, self.suspect = _made(self.name), [], [], None

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the errors since the last alarm, and their rows."""
        return {"errors": np.array(self.errors, dtype=bool), "error_rows": np.array(self.rows, dtype=np.int64)}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from a state."""
        self._restart()
        self.rows = state["error_rows"].tolist()
        for one in state["errors"].tolist():
            self._step(one)


def split_of(errors: NDArray[np.bool_]) -> int:
    """Return where a sequence of errors most likely changed its rate.

    Example:
        >>> split_of(np.array([False] * 50 + [True] * 20))
        50
    """
    n, total = np.arange(1, len(errors)), np.cumsum(errors)
    before, after = total[:-1] / n, (total[-1] - total[:-1]) / (len(errors) - n)
    gain = n * (len(errors) - n) * (after - before) ** 2
    return int(np.argmax(gain)) + 1 if len(gain) else 0
