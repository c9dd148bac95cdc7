"""Monitoring: delay, false alarms, throughput; accuracy and forgetting of models that keep up with a stream.

    make bench-monitor ARGS="--data FOLDER"

`--part drift`, `throughput` or `continual` runs one part; results already in `monitor.jsonl` are not repeated.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from acclimate import adapt
from acclimate.data import Domain
from acclimate.data.source import as_domain
from acclimate.runs.outputs import ClassOutputs
from acclimate.runs.run import Run
from acclimate.shift.effects import SMALL
from acclimate.shift.stream.error_drift import DETECTORS, ErrorDrift
from acclimate.shift.stream.monitor import Monitor
from acclimate.workflows.keep_up import Adapting, Attempt, Keeper
from acclimate.workflows.monitor import Watcher, parts_of
from acclimate.workflows.usual import seen_by, slices, usual

EVERY = 500
SEEDS = (0, 1, 2)
SOURCE, TARGET = 4000, 8000
"""Rows of electricity that are the source, and up to which the target goes; the stream follows."""
Line = dict[str, Any]
Rows = NDArray[np.int64]


def electricity(data: Path) -> pl.DataFrame:
    return pl.read_csv(data / "electricity" / "electricity.csv.gz")


def electricity_run(data: Path, seed: int, folder: Path, method: str = "source_only") -> Run:
    frame = electricity(data)
    folder.mkdir(exist_ok=True)
    frame[:SOURCE].write_csv(folder / "source.csv")
    frame[SOURCE:TARGET].drop("class").write_csv(folder / "target.csv")
    source, target = folder / "source.csv", folder / "target.csv"
    return adapt(source, target, folder / "run", label="class", method=method, steps=300, seeds=[seed])


def mnist(data: Path, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with np.load(data / "mnist" / "mnist.npz") as file:
        order = np.random.default_rng(seed).permutation(60_000)
        return file["x_train"][order], file["y_train"][order].astype(np.int64)


def rotated(x: NDArray[np.uint8], degrees: NDArray[np.float64]) -> NDArray[np.uint8]:
    turned = [
        np.asarray(Image.fromarray(one).rotate(float(angle), Image.Resampling.BILINEAR))
        for one, angle in zip(x, degrees, strict=True)
    ]
    return np.stack(turned)


def angles(kind: str, n: int, at: int) -> NDArray[np.float64]:
    """The rotation of each image: none, 30 degrees from a row on, or up to 45 degrees slowly."""
    steps = np.arange(n) - at
    if kind == "abrupt":
        return np.where(steps < 0, 0.0, 30.0)
    return 45.0 * np.clip(steps / (n - at), 0, 1) if kind == "slow" else np.zeros(n)


def watch(run: Run, stream: Domain, labels: NDArray[np.str_]) -> tuple[list[int], list[bool], dict[str, list[int]]]:
    """Rows of the alarms, whether each window is alarmed, and rows of the alarms of each error detector."""
    monitor = Monitor(usual(run), every=EVERY)
    errors = {name: ErrorDrift(name, lasting=EVERY) for name in DETECTORS}
    rows, alarmed, of_errors = list[int](), list[bool](), {name: list[int]() for name in DETECTORS}
    known = {channel.name for channel in monitor.reference.channels}
    for part in slices(stream, EVERY):
        seen = seen_by(run, part)
        values = {name: of for name, (_, of) in seen.values.items()} | monitor.reference.project(seen.features)
        first = monitor.rows
        alarms = monitor.update({name: of for name, of in values.items() if name in known}, len(part))
        rows += sorted({alarm.row for alarm in alarms})
        alarmed.append(bool(monitor.alarmed.any()))
        assert isinstance(seen.outputs, ClassOutputs)
        wrong = np.array(run.recipe.classes)[seen.outputs.predicted] != labels[first : first + len(part)]
        for name, detector in errors.items():
            of_errors[name] += [alarm.row for alarm in detector.update(wrong, first + np.arange(len(part)))]
    return rows, alarmed, of_errors


def f1(alarmed: list[bool], changed: list[bool]) -> float:
    both = sum(a and c for a, c in zip(alarmed, changed, strict=True))
    return 2 * both / (sum(alarmed) + sum(changed)) if sum(alarmed) + sum(changed) else 1.0


def judged(stream: str, seed: int, n: int, at: int, found: tuple[Any, ...]) -> Line:
    rows, alarmed, of_errors = found
    changed = [(i + 1) * EVERY > at for i in range(len(alarmed))]
    after = [row for row in rows if row > at]
    return {
        "part": "drift", "stream": stream, "seed": seed, "rows": n, "at": at,
        "delay": after[0] - at if after else None, "false": sum(row <= at for row in rows),
        "f1": f1(alarmed, changed), "always": f1([True] * len(changed), changed),
        "errors": {name: [row - at for row in of] for name, of in of_errors.items()},
    }  # fmt: skip


def drift(data: Path, seed: int) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        x, y = mnist(data, seed)
        np.savez(Path(folder) / "source.npz", x=x[:4000], y=y[:4000])
        np.savez(Path(folder) / "target.npz", x=x[4000:8000])
        domains = Path(folder) / "source.npz", Path(folder) / "target.npz"
        run = adapt(*domains, Path(folder) / "mnist", method="source_only", steps=200, seeds=[seed])
        for kind, n, at in (("stationary", 10_000, 10_000), ("abrupt", 10_000, 5000), ("slow", 15_000, 5000)):
            some = slice(8000, 8000 + n)
            stream = as_domain(rotated(x[some], angles(kind, n, at)), name=kind)
            yield judged(f"MNIST, {kind}", seed, n, at, watch(run, stream, y[some].astype(str)))
        run = electricity_run(data, seed, Path(folder) / "electricity")
        frame, rng = electricity(data), np.random.default_rng(seed)
        drawn = frame[SOURCE:TARGET][rng.integers(0, TARGET - SOURCE, 20_000).tolist()]
        for name, rows in (("electricity, drawn from the target", drawn), ("electricity", frame[TARGET:])):
            stream = as_domain(rows.drop("class"), name=name)
            at = len(rows) if rows is drawn else 0
            yield judged(name, seed, len(rows), at, watch(run, stream, rows["class"].cast(pl.String).to_numpy()))


def throughput(data: Path, seed: int, rows: int = 1_000_000, columns: int = 100) -> Iterator[Line]:
    """A million rows of a hundred columns, and a tenth of them, through the command."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def table(n: int) -> pl.DataFrame:
            return pl.DataFrame(
                {f"c{i}": rng.normal(size=n).astype(np.float32).round(4) for i in range(columns)}
            ).with_columns((pl.col("c0") + pl.col("c1") > 0).cast(pl.Int64).alias("y"))

        table(2000).write_csv(folder / "source.csv")
        table(4000).drop("y").write_csv(folder / "target.csv")
        given = folder / "source.csv", folder / "target.csv", folder / "run"
        adapt(*given, label="y", method="source_only", steps=100)
        part = folder / "part.csv"
        for n in (rows // 10, rows):
            table(rows // 10).write_csv(part)
            text = part.read_bytes()
            with (folder / "stream.csv").open("wb") as file:
                for i in range(10 * n // rows):
                    file.write(text if not i else text.partition(b"\n")[2])
            yield timed(folder, n, columns)


PEAK = """import resource, sys
from acclimate.cli import main
try:
    main()
finally:
    sys.stderr.write(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\\n")
"""


def timed(folder: Path, n: int, columns: int) -> Line:
    words = [sys.executable, "-c", PEAK, "monitor", str(folder / "run"), str(folder / "stream.csv"), "--json"]
    began, before = time.monotonic(), sum(os.times()[2:4])
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    seconds, peak = time.monotonic() - began, int(done.stderr.rsplit("peak ", 1)[1])
    found = json.loads(done.stdout)
    return {
        "part": "throughput", "rows": n, "columns": columns, "seconds": round(seconds, 1),
        "cpu": round(sum(os.times()[2:4]) - before, 1), "peak_mb": peak // 1024,
        "alarms": len(found["alarms"]), "file_mb": (folder / "stream.csv").stat().st_size // 2**20,
    }  # fmt: skip


class Always(Keeper):
    """Adapts whenever enough rows came, and takes every new model."""

    def due(self, row: int, *, last: bool) -> bool:
        """Whether a block of recent rows is full."""
        return not last and row % self.recent == 0

    def attempt(self, run: Run, row: int) -> Attempt:
        """Adapt, whatever the guard says."""
        self.since = row - self.recent
        return replace(super().attempt(run, row), taken=True)


POLICIES: dict[str, type[Keeper] | None] = {"never": None, "always": Always, "on alarm": Keeper}


def continual(data: Path, seed: int) -> Iterator[Line]:
    """Trainings leave no reports, whose maps of the features take most of the time."""
    for name, make in (("electricity", electricity_task), ("MNIST, rotating", rotating_task)):
        for policy, kind in POLICIES.items():
            with tempfile.TemporaryDirectory() as folder, mock.patch("acclimate.workflows.adapt.write_report"):
                run, stream = make(data, seed, Path(folder))
                yield kept_up(name, policy, kind, run, stream, seed)


def electricity_task(data: Path, seed: int, folder: Path) -> tuple[Run, Domain]:
    stream = electricity(data)[TARGET : TARGET + 20_000]
    domain = as_domain(stream, name="stream", label="class")
    return electricity_run(data, seed, folder), domain


def rotating_task(data: Path, seed: int, folder: Path) -> tuple[Run, Domain]:
    """Digits of 14 by 14 pixels as vectors, which turn by 90 degrees over 14 000 of 16 000 rows."""
    x, y = mnist(data, seed)
    turned = rotated(x[8000:24_000], np.clip((np.arange(16_000) - 2000) / 14_000, 0, 1) * 90)

    def small(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        means = images.reshape(-1, 14, 2, 14, 2).mean((2, 4)) / 255
        return np.asarray(means.reshape(-1, 196), dtype=np.float32)

    np.savez(folder / "source.npz", x=small(x[:4000]), y=y[:4000])
    np.savez(folder / "target.npz", x=small(x[4000:8000]))
    run = adapt(
        folder / "source.npz", folder / "target.npz", folder / "run", method="source_only", steps=300, seeds=[seed]
    )
    return run, as_domain((small(turned), y[8000:24_000]), name="stream")


def kept_up(name: str, policy: str, kind: type[Keeper] | None, run: Run, stream: Domain, seed: int) -> Line:
    watcher = Watcher(run, usual(run), EVERY, "class", "adwin", SMALL)
    if kind:
        watcher.keeper = kind(run, Adapting(recent=1000, replay=1000))
    for part in parts_of(stream, EVERY, 0):
        watcher.take(part)
    watcher.finish()
    log, first = watcher.log, stream.take(np.arange(2000))
    assert first.labels is not None
    right = seen_by(watcher.run, first).outputs
    assert isinstance(right, ClassOutputs)
    early = (np.array(run.recipe.classes)[right.predicted] == first.labels).mean()
    source = watcher.run.scores["source_val"]
    assert source
    return {
        "part": "continual", "stream": name, "policy": policy, "seed": seed,
        "accuracy": 1 - log.wrong / log.labelled, "trainings": len(log.attempts),
        "taken": sum(one.taken for one in log.attempts), "source": source["accuracy"], "early": float(early),
    }  # fmt: skip


PARTS: dict[str, Callable[[Path, int], Iterator[Line]]] = {
    "drift": drift,
    "throughput": throughput,
    "continual": continual,
}


def spread(values: list[float]) -> str:
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {sd:.3f}"


def tables(lines: list[Line]) -> Iterator[str]:
    of = {part: [line for line in lines if line["part"] == part] for part in PARTS}
    yield "| stream | rows to the alarm | false alarms per 10 000 | F1 | always alarm | never | to an alarm of errors |"
    yield "|---|---|---|---|---|---|---|"
    for name in dict.fromkeys(line["stream"] for line in of["drift"]):
        own = [line for line in of["drift"] if line["stream"] == name]
        told = [str(line["delay"]) if line["at"] < line["rows"] else "" for line in own]
        quiet = sum(line["at"] for line in own)
        false = f"{1e4 * sum(line['false'] for line in own) / quiet:.2g}" if quiet else ""
        errors = [str(next((d for d in line["errors"]["adwin"] if d > 0), "none")) for line in own]
        never = f1([False] * 2, [line["at"] < line["rows"] for line in own][:2])
        yield (
            f"| {name} | {', '.join(filter(None, told))} | {false} | {spread([line['f1'] for line in own])} | "
            f"{spread([line['always'] for line in own])} | {never:.0f} | {', '.join(errors)} |"
        )
    yield "\n| rows | columns | file | seconds | of CPU | rows a second | peak memory |\n|---|---|---|---|---|---|---|"
    for line in of["throughput"]:
        speed = line["rows"] / line["seconds"]
        yield (
            f"| {line['rows']:,} | {line['columns']} | {line['file_mb']} MB | {line['seconds']} | {line['cpu']} | "
            f"{speed:,.0f} | {line['peak_mb']} MB |"
        )
    yield "\n| stream | adapt | accuracy on the stream | trainings | taken | source, held out | first 2 000 rows |"
    yield "|---|---|---|---|---|---|---|"
    for key in dict.fromkeys((line["stream"], line["policy"]) for line in of["continual"]):
        own = [line for line in of["continual"] if (line["stream"], line["policy"]) == key]
        cells = [spread([line[name] for line in own]) for name in ("accuracy", "source", "early")]
        counts = [statistics.mean(line[name] for line in own) for name in ("trainings", "taken")]
        yield f"| {key[0]} | {key[1]} | {cells[0]} | {counts[0]:.1f} | {counts[1]:.1f} | {cells[1]} | {cells[2]} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=list(PARTS))
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    args = parser.parse_args()
    lines = [json.loads(line) for line in args.out.read_text("utf-8").splitlines()] if args.out.exists() else []
    done = {(line["part"], line.get("seed", 0)) for line in lines}
    for part in [args.part] if args.part else PARTS:
        for seed in range(args.seeds if part != "throughput" else 1):
            if (part, seed) in done:
                continue
            began = time.monotonic()
            for line in PARTS[part](args.data, seed):
                lines.append(line)
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            print(f"{part}, seed {seed}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print("\n".join(tables(lines)))


if __name__ == "__main__":
    main()
