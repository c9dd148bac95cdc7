"""What a training shows while it runs."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from acclimate import adapt
from acclimate.training import progress
from acclimate.training.engine import Step

TITLE = "training 2 of 4 · source_only, seed 1"


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the start, which a test sets."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(progress.ProgressDisplay, "last_line", 0.0)
    return clock


def shown(clock, times, *, terminal, width=110, steps=100):
    """What is written if each step of 64 images is done at one of ``times``."""
    display = progress.ProgressDisplay(TITLE, steps=steps, examples=64, unit="images")
    display.console = Console(file=io.StringIO(), force_terminal=terminal, width=width)
    display.start(0)
    for done, clock.now in enumerate(times, 1):
        display.step(Step(done, {"class": 0.5}), {})
    display.close()
    return display.console.file.getvalue()


def test_a_terminal_shows_speed_with_its_unit_and_the_time_left(clock):
    assert f"{TITLE} · 128 images/s · 0:48 left" in shown(clock, [0.5, 1.0, 1.5, 2.0], terminal=True)


@pytest.mark.parametrize(("width", "there"), [(110, False), (160, True)])
def test_a_wide_terminal_shows_losses_too(clock, width, there):
    assert ("class 0.500" in shown(clock, [1.0, 2.0], terminal=True, width=width)) == there


def test_without_a_terminal_a_line_tells_every_30_seconds(clock):
    lines = shown(clock, range(1, 100), terminal=False).splitlines()
    assert lines == [
        f"acclimate: {TITLE} · step {step} of 100 · 64 images/s · {left} left"
        for step, left in ((30, "1:10"), (60, "0:40"), (90, "0:10"))
    ]


def test_many_short_trainings_tell_as_often_as_a_long_one(clock):
    lines = []
    for began in range(0, 90, 10):
        lines += shown(clock, range(began, began + 10), terminal=False).splitlines()
    assert len(lines) == 2


@pytest.mark.parametrize("seconds", [7265, 65, 5])
def test_time_left_is_in_hours_minutes_and_seconds(clock, seconds):
    left = {7265: "2:01:05", 65: "1:05", 5: "0:05"}[seconds]
    assert f"{left} left" in shown(clock, [0.0, seconds], terminal=True, steps=4)


def test_a_training_is_shown_with_its_place_and_unit(tmp_path, monkeypatch):
    shows = []
    monkeypatch.setattr(progress.ProgressDisplay, "start", lambda self, done: shows.append((self.title, self.unit)))
    monkeypatch.setattr(progress.ProgressDisplay, "step", lambda self, step, found: None)
    x = [[float(i), -float(i)] for i in range(12)]
    given = {"seeds": 3, "steps": 1, "show": True, "settings": {"train.accumulate": 2}}
    adapt((x, ["a", "b"] * 6), x, tmp_path / "alone", method="dann", **given)
    phases = [f"{phase}, seed {seed}" for phase in ("source_only", "adapted") for seed in (0, 1, 2)]
    assert shows == [(f"training {i} of 6 · {phase}", "rows") for i, phase in enumerate(phases, 1)]


def test_trainings_that_go_together_are_shown_as_one(tmp_path, monkeypatch):
    shows, steps = [], []
    monkeypatch.setattr(progress.ProgressDisplay, "start", lambda self, done: shows.append(self.title))
    monkeypatch.setattr(progress.ProgressDisplay, "step", lambda self, step, found: steps.append(step.done))
    x = [[float(i), -float(i)] for i in range(12)]
    adapt((x, ["a", "b"] * 6), x, tmp_path / "run", method="dann", steps=2, seeds=3, show=True)
    assert shows == [
        f"trainings {place}, seeds 0 to 2" for place in ("1 to 3 of 6 · source_only", "4 to 6 of 6 · adapted")
    ]
    assert steps == [1, 2, 1, 2]
