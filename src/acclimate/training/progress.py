"""What shows a training while it runs: its losses in a file, a bar in the terminal."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from acclimate.contents import Line
from acclimate.run_folder import RunFolder
from acclimate.training.engine import Step

FLUSH_SECONDS = 2.0
"""How long noted steps wait in memory at the most."""
DRAW_SECONDS = 0.5
"""How long a bar stands still at the least."""


class LossLog:
    """``losses.jsonl``: whole lines at a time, so that a kill tears none.

    Args:
        run: Whose file it is.
        seed: Of the training.
        phase: Of the training.
    """

    def __init__(self, run: RunFolder, *, seed: int, phase: str):
        self.run, self.path = run, run.file("losses.jsonl")
        self.seed, self.phase = seed, phase
        self.lines: list[str] = []
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
        self.lines, self.flushed = [], time.monotonic()


class ProgressBar:
    """A bar with losses, examples a second and the time left; only in a terminal.

    Args:
        title: What is trained.
        steps: Of the whole training.
        examples: That one step learns from.
    """

    def __init__(self, title: Sequence[str], *, steps: int, examples: int):
        self.console = Console(stderr=True)
        self.title, self.steps, self.examples = title, steps, examples
        self.bar: Progress | None = None

    def start(self, done: int) -> None:
        """Begin to draw."""
        if not self.console.is_terminal:
            return
        what, who = self.title
        columns = (
            TextColumn(f"{what} [dim]{who}[/]"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[losses]}"),
            TextColumn("{task.fields[speed]}", style="dim"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=self.console, auto_refresh=False)
        self.task = self.bar.add_task("", total=self.steps, completed=done, losses="", speed="")
        self.bar.start()
        self.drawn, self.since = time.monotonic(), done

    def step(self, step: Step, validation: Mapping[str, float]) -> None:
        """Draw, twice a second at the most."""
        now = time.monotonic()
        if self.bar is None or (now - self.drawn <= DRAW_SECONDS and step.done != self.steps):
            return
        speed = (step.done - self.since) * self.examples / max(now - self.drawn, 1e-9)
        losses = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
        self.bar.update(self.task, completed=step.done, losses=losses, speed=f"{speed:,.0f}/s", refresh=True)
        self.drawn, self.since = now, step.done

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            with suppress(ValueError):  # its stream is closed
                self.bar.stop()
