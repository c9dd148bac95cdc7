"""What a command costs before it does its work, and what the allocator and sleeping threads save while it does.

    make bench-start_cost ARGS="--data FOLDER"

Each figure is of a process of its own, started in turn with all others, round after round: seconds from its start, and
the most memory that it held. A ratio is the median over rounds of the process / `python -c "import torch"` in the same
round. "First line" is the first thing on stderr, "first step" the first progress line in a terminal. The Run is
EfficientNet-Lite0 on photographs of PACS; it predicts cartoons.

The other tables are of the training alone, without imports: steps of the network `cnn` on 64 + 64 images of 64 pixels,
in one process and in two at once. "As it is" keeps freed memory and lets threads sleep while they wait. A variable of
the environment switches each off, as a user would (`MALLOC_…` and `KMP_BLOCKTIME`, which leave glibc and OpenMP as they
are by default). A ratio is the median over rounds of the CPU's seconds, the user's and the system's together: on a
machine with other work, the clock says little.
"""

import argparse
import contextlib
import os
import pty
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PYTHON = (sys.executable, "-c")
CLI = (sys.executable, "-m", "acclimate")
ALLOCATOR, THREADS = {"MALLOC_BY_DEFAULT": "1"}, {"KMP_BLOCKTIME": "200"}
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "allocator off": ALLOCATOR,
    "threads spin": THREADS,
    "both off": {**ALLOCATOR, **THREADS},
}
SIZE, BATCH = 64, 64


class Cost(NamedTuple):
    """Seconds, and the most memory in MB."""

    seconds: float
    memory: float


def whole(command: Sequence[str], folder: Path) -> Cost:
    """Of a process from its start to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return Cost(time.perf_counter() - began, used.ru_maxrss / 1024)


def until(command: Sequence[str], folder: Path, words: str) -> Cost:
    """Of a process from its start until it has written some words to its terminal; then it is ended."""
    ours, theirs = pty.openpty()
    began, seen = time.perf_counter(), b""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    with contextlib.suppress(OSError):  # the process has ended
        while words.encode() not in seen:
            seen += os.read(ours, 65536)
    cost = Cost(time.perf_counter() - began, _peak(process.pid))
    process.terminate()
    process.wait()
    os.close(ours)
    return cost


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def prepare(data: Path, folder: Path) -> None:
    """Folders of photographs, of 1 and of 1 000 cartoons, and a Run."""
    for domain in ("photo", "cartoon"):
        [found] = (data / "pacs").glob(f"*{domain}*.zip")
        with zipfile.ZipFile(found) as archive:
            archive.extractall(folder / "all" / domain)
    photos, cartoons = (sorted((folder / "all" / d).rglob("*.jpg")) for d in ("photo", "cartoon"))
    for photo in photos[:: max(1, len(photos) // 140)]:
        _copy(photo, folder / "photos" / photo.parent.name)
    for n in (1, 100, 1000):
        for i, cartoon in enumerate((cartoons * 2)[:n]):
            _copy(cartoon, folder / f"images-{n}", f"{i}.jpg")
    few = ("--finetune", "feature_extraction", "--method", "source_only", "--steps", "20", "-o", "run")
    subprocess.run((*CLI, "adapt", "photos", "images-1", *few), cwd=folder, check=True, capture_output=True)


def _copy(path: Path, folder: Path, name: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / (name or path.name))


def starts(folder: Path) -> dict[str, Callable[[], Cost]]:
    """What is measured, by name."""
    small = ("--finetune", "full", "--set", "train.batch_size=8")
    train = (*CLI, "adapt", "photos", "images-100", "-o", "new", *small)
    predict = (*CLI, "predict", "run")

    def first(words: str) -> Callable[[], Cost]:
        def measured() -> Cost:
            shutil.rmtree(folder / "new", ignore_errors=True)
            return until(train, folder, words)

        return measured

    def of(*command: str) -> Callable[[], Cost]:
        return lambda: whole(command, folder)

    return {
        'python -c "import torch"': of(*PYTHON, "import torch"),
        'python -c "import torch", again': of(*PYTHON, "import torch"),
        "acclimate --help": of(*CLI, "--help"),
        "acclimate adapt --help": of(*CLI, "adapt", "--help"),
        "acclimate methods": of(*CLI, "methods"),
        "first error: adapt, a path that is not there": of(*CLI, "adapt", "photos", "no", "-o", "new"),
        "first error: adapt, an unknown backbone": of(
            *CLI, "adapt", "photos", "photos", "-o", "no", "--backbone", "resnet50"
        ),
        "first error: predict, a path that is not there": of(*predict, "no", "-o", "p.csv"),
        "first line: adapt": first("reading"),
        "first step: adapt, 140 + 100 images, 8 + 8 a step": first("images/s"),
        "predict, 1 image": of(*predict, "images-1", "-o", "p.csv", "--overwrite"),
        "predict, 1 000 images": of(*predict, "images-1000", "-o", "p.csv", "--overwrite"),
    }


def train(steps: int) -> None:
    """Take some steps, and print the seconds and those of them that the CPU spent for us and in the kernel."""
    import numpy as np
    import torch

    from acclimate import Training, backbones, fit
    from acclimate.methods import get

    rng = np.random.default_rng(0)
    source, target = (rng.integers(0, 256, (4 * BATCH, SIZE, SIZE, 3), dtype=np.uint8) for _ in range(2))
    shape = backbones.Shape(images=True, size=SIZE, mean=[127.0] * 3, std=[64.0] * 3)
    torch.manual_seed(0)
    model = backbones.build("cnn", shape, 2, {}).classifier
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    fit(
        get("deep_coral")(model), (source, np.arange(4 * BATCH) % 2), target,
        training=Training(steps=steps, batch_size=BATCH, optimizer="adamw", lr=1e-4),
    )  # fmt: skip
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    print(seconds, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)


def trainings(variant: Mapping[str, str], steps: int, n: int) -> list[float]:
    """Mean seconds, user's and system's, of ``n`` trainings at once."""
    command = (sys.executable, __file__, "--steps", str(steps), "--child")
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **variant}) for _ in range(n)
    ]
    told = [[float(word) for word in process.communicate()[0].split()] for process in started]
    return [statistics.mean(values) for values in zip(*told, strict=True)]


def rounds(variants: Mapping[str, Callable[[], Sequence[float]]], n: int) -> dict[str, list[Sequence[float]]]:
    """What each gives in each round, all in turn."""
    found: dict[str, list[Sequence[float]]] = {name: [] for name in variants}
    for turn in range(n):
        for name, measured in variants.items():
            found[name].append(values := measured())
            print(turn, name, *(f"{value:.2f}" for value in values), flush=True)
    return found


def table(found: Mapping[str, Sequence[Sequence[float]]], head: Sequence[str], base: str, counts: slice) -> str:
    """Medians, and the ratios to ``base`` of the sum of the figures that count."""
    lines = [f"| {' | '.join(head)} | ratio (median) | ratio (least, most) |", "|---" * (len(head) + 2) + "|"]
    for name, values in found.items():
        ratios = [sum(own[counts]) / sum(of[counts]) for own, of in zip(values, found[base], strict=True)]
        shown = [statistics.median(column) for column in zip(*values, strict=True)]
        cells = [f"{value:.0f}" if value >= 100 else f"{value:.2f}" for value in shown]
        spread = f"{statistics.median(ratios):.2f} | {min(ratios):.2f}, {max(ratios):.2f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {spread} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with pacs/")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--training-repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    if args.child:
        train(args.steps)
        return
    for name in (*THREADS, "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(args.data.resolve(), folder)
        started = rounds(starts(folder), args.repeats)
    parts = [table(started, ("process", "seconds", "MB"), 'python -c "import torch"', slice(0, 1))]
    for n, how in ((1, "one training"), (2, "two trainings at once")):
        work = {k: lambda v=v, n=n: trainings(v, args.steps, n) for k, v in VARIANTS.items()}
        found = rounds(work, args.training_repeats)
        parts.append(table(found, (how, "seconds", "CPU, user", "CPU, system"), "as it is", slice(1, 3)))
    text = "\n\n".join(__doc__.split("\n\n")[2:]).strip()
    head = (
        f'# What a command costs to start\n\n`make bench-start_cost ARGS="--data FOLDER"`: {args.repeats} and '
        f"{args.training_repeats} rounds, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f} at the end.\n\n{text}"
    )
    args.out.write_text("\n\n".join([head, *parts]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
