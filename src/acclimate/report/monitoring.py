"""What a monitor found, as one HTML page: effects by window, with the alarms."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.run_folder import RunFolder
from acclimate.shift.stream.alarms import Alarm
from acclimate.shift.stream.monitor import Monitor

DRAWN = 24
"""Most channels that are drawn: those with alarms, then those that moved most."""
POINTS = 400
"""Most points of a line; of more windows the largest effects are drawn."""
WIDE, HIGH = 640, 44
"""Size of a drawing."""
TALLEST = 2.0
"""Effect at the top of a drawing, in standard deviations."""


class Line(NamedTuple):
    """One channel of the timeline."""

    name: str
    largest: str
    points: str
    marks: list[tuple[float, str]]


class Timeline(NamedTuple):
    """What a page shows."""

    run: str
    stream: str
    summary: str
    command: str
    alarms: tuple[Alarm, ...]
    monitor: Monitor


def write_page(path: Path, shown: Timeline) -> None:
    """Write the page to ``path``, whole or not at all."""
    text = render(shown)
    RunFolder(path.parent).write(path.name, lambda place: place.write_text(text, "utf-8"))


def render(shown: Timeline) -> str:
    """Return one HTML page that loads nothing else."""
    from acclimate.report.page import render_template, short_path  # plotly takes a second to import

    n = len(shown.alarms)
    return render_template(
        "monitor.html.j2",
        {
            "title": f"monitor: {short_path(shown.stream)}",
            "headline": "No alarm" if not n else f"{n} alarm{'s' * (n > 1)}",
            "shown": shown,
            "lines": lines(shown),
            "errors": [alarm for alarm in shown.alarms if alarm.where == "error"],
            "tolerance": _height(shown.monitor.tolerance),
            "size": (WIDE, HIGH),
        },
    )


def lines(shown: Timeline) -> list[Line]:
    """Return the channels to draw, those with alarms first."""
    effects, channels = shown.monitor.effects, shown.monitor.reference.channels
    if not len(effects):
        return []
    alarmed = {alarm.name for alarm in shown.alarms}
    largest = effects.max(0)
    order = sorted(range(len(channels)), key=lambda i: (channels[i].name not in alarmed, -float(largest[i])))
    return [_line(shown, i) for i in order[:DRAWN]]


def _line(shown: Timeline, i: int) -> Line:
    monitor, channel = shown.monitor, shown.monitor.reference.channels[i]
    effects = _thinned(monitor.effects[:, i])
    step = WIDE / max(len(effects), 1)
    points = " ".join(f"{(k + 0.5) * step:.1f},{_height(float(one)):.1f}" for k, one in enumerate(effects))
    first = monitor.rows - monitor.pending - len(monitor.effects) * monitor.every
    span = max(monitor.rows - first, 1)
    marks = [
        (WIDE * (alarm.row - first) / span, str(alarm))
        for alarm in shown.alarms
        if alarm.name == channel.name and alarm.row >= first
    ]
    return Line(channel.name, f"{float(effects.max()):.2g}", points, marks)


def _thinned(effects: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest effect in each of at most `POINTS` parts."""
    if len(effects) <= POINTS:
        return effects
    return np.array([part.max() for part in np.array_split(effects, POINTS)], dtype=np.float32)


def _height(effect: float) -> float:
    return HIGH - 2 - (HIGH - 4) * min(effect / TALLEST, 1.0)
