"""What shows a training while it runs: its losses in a file, its speed in the terminal."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from acclimate.contents import Line
from acclimate.run_folder import RunFolder
from acclimate.training.engine import Step

FLUSH_SECONDS = 2.0
"""How long noted steps wait in memory at the most."""
DRAW_SECONDS = 0.5
"""How long a bar stands still at the least."""
LINE_SECONDS = 30.0
"""How much time lies between two lines at the least, where there is no terminal."""
WIDE = 120
"""Columns of a terminal that has room for losses."""


class LossLog:
    """``losses.jsonl``: whole lines at a time, so that a kill tears none.

    Args:
        run: Whose file it is.
        seed: Of the training.
        phase: Of the training.
        lines: Those that wait to be written; trainings that take every step together share them, so that the order of
            the lines does not depend on time.
    """

    def __init__(self, run: RunFolder, *, seed: int, phase: str, lines: list[str] | None = None):
        self.run, self.path = run, run.file("losses.jsonl")
        self.seed, self.phase = seed, phase
        self.lines: list[str] = [] if lines is None else lines
        self.flushed = time.monotonic()

    def start(self, done: int) -> None:
        """Drop what this training noted after the checkpoint it continues from."""
        if not self.path.exists():
            return

        def stays(line: Line) -> bool:
            return line["step"] <= done or (line["seed"], line["phase"]) != (self.seed, self.phase)

        kept = "".join(json.dumps(line) + "\n" for line in self.run.losses() if stays(line))
        self.run.write(self.path.name, lambda path: path.write_text(kept, "utf-8"))

    def step(self, step: Step, validation: Mapping[str, float]) -> None:
        """Note one step."""
        losses = {name: float(f"{value:.6g}") for name, value in (step.losses | dict(validation)).items()}
        line = {"seed": self.seed, "phase": self.phase, "step": step.done, **losses}
        self.lines.append(json.dumps(line) + "\n")
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was noted, in one call of the system."""
        if self.lines:
            self.run.append(self.path.name, "".join(self.lines))
        self.lines.clear()
        self.flushed = time.monotonic()


class ProgressDisplay:
    """What is trained, how fast, and the time left: a bar in a terminal, elsewhere a line now and then.

    Args:
        title: What is trained.
        steps: Of the whole training.
        examples: That one step learns from.
        unit: What the examples are, e.g. ``images``.
    """

    last_line = time.monotonic()
    """When the last line was written, by any training: many short ones are no more silent than a long one."""

    def __init__(self, title: str, *, steps: int, examples: int, unit: str = "examples"):
        self.console = Console(stderr=True)
        self.title, self.steps, self.examples, self.unit = title, steps, examples, unit
        self.bar: Progress | None = None

    def start(self, done: int) -> None:
        """Begin to draw."""
        self.began = self.drawn = time.monotonic()
        self.begun_at = done
        if not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[losses]}", style="dim"),
            console=self.console,
            auto_refresh=False,
        )
        self.task = self.bar.add_task(self.title, total=self.steps, completed=done, losses="")
        self.bar.start()
        self.bar.refresh()

    def step(self, step: Step, validation: Mapping[str, float]) -> None:
        """Draw the bar, twice a second at the most, or write a line, twice a minute at the most."""
        now = time.monotonic()
        if self.bar is None:
            if now - ProgressDisplay.last_line >= LINE_SECONDS:
                text = self._described(step.done, now, f"step {step.done:,} of {self.steps:,}")
                self.console.print(f"acclimate: {text}", markup=False, highlight=False, soft_wrap=True)
                ProgressDisplay.last_line = now
        elif now - self.drawn > DRAW_SECONDS or step.done == self.steps:
            losses = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
            self.bar.update(
                self.task,
                completed=step.done,
                description=self._described(step.done, now),
                losses=losses if self.console.width >= WIDE else "",
                refresh=True,
            )
            self.drawn = now

    def _described(self, done: int, now: float, *more: str) -> str:
        """The title, the speed since the start, and the time left at that speed."""
        a_step = max(now - self.began, 1e-9) / (done - self.begun_at)
        speed, left = self.examples / a_step, timedelta(seconds=round((self.steps - done) * a_step))
        minutes = str(left).removeprefix("0:").removeprefix("0")
        return " · ".join([self.title, *more, f"{speed:,.0f} {self.unit}/s", f"{minutes} left"])

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            with suppress(ValueError):  # its stream is closed
                self.bar.stop()


class SharedDisplay:
    """One display of trainings that take every step together: it shows a step when the first of them takes it.

    Args:
        display: Shows the steps.
    """

    def __init__(self, display: ProgressDisplay):
        self.display = display
        self.done = -1

    def start(self, done: int) -> None:
        """Begin to draw, once."""
        if self.done < 0:
            self.done = done
            self.display.start(done)

    def step(self, step: Step, validation: Mapping[str, float]) -> None:
        """Show a step once."""
        if step.done > self.done:
            self.done = step.done
            self.display.step(step, validation)

    def flush(self) -> None:
        """Nothing is kept back."""
