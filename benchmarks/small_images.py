"""Where the time of an adaptation of small images goes.

    make bench-small_images ARGS="--data FOLDER"

`acclimate adapt` as it is by default (`mcc`, backbone `cnn`, 2 000 steps of 64 + 64 images) on 5 000 digits of MNIST
and 5 000 of MNIST-M, each turned by 0, 90, 180 or 270 degrees, so that there are 40 classes, and resized to 40 x 40
pixels; 4 001 other digits of MNIST-M are scored. Seconds are those of Python's profiler in one run, which adds a little
to each call. An indented part is within the one above it.
"""

import argparse
import cProfile
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType

import numpy as np
import torch
from numpy.typing import NDArray

import acclimate

N, SIDE = 5000, 40
PARTS = (
    ("reading, comparing and planning", "workflows/plan/__init__.py", "make_plan"),
    ("training", "training/train.py", "train"),
    ("  steps", "training/driver.py", "step"),
    ("    gradients", "", "<method 'run_backward' of 'torch._C._EngineBase' objects>"),
    ("  statistics of batch norm at the end", "training/inference.py", "estimate_statistics"),
    ("  looks at the validation split", "training/inference.py", "validate"),
    ("predictions and scores", "workflows/scoring.py", "score"),
    ("report", "report/__init__.py", "write_report"),
    ("  two maps by t-SNE", "report/embed.py", "embed"),
)
"""Each part with the file and the function that does it."""


def digits(file: Path, part: str, rows: slice, seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Images of 40 classes: which digit, turned how."""
    with np.load(file) as stored:
        x, y = stored[f"x_{part}"][rows], stored[f"y_{part}"][rows]
    x = np.repeat(x[..., None], 3, 3) if x.ndim == 3 else x
    turns = np.random.default_rng(seed).integers(4, size=len(x))
    turned = np.stack([np.rot90(image, k) for image, k in zip(x, turns, strict=True)])
    return turned, [f"{digit} turned {90 * k}" for digit, k in zip(y, turns, strict=True)]


def seconds(profile: cProfile.Profile, file: str, function: str) -> float:
    """What a function took, with all that it calls; one of C has no file."""
    return sum(
        entry.totaltime
        for entry in profile.getstats()
        if (entry.code == function if isinstance(entry.code, str) else _is(entry.code, file, function))
    )


def _is(code: CodeType, file: str, function: str) -> bool:
    return code.co_filename.endswith(file or "no file") and code.co_name == function


def table(rows: Sequence[tuple[str, float]], whole: float) -> str:
    """Seconds and shares of the whole."""
    lines = ["| part | seconds | share |", "|---|---|---|"]
    for name, took in [*rows, ("all", whole)]:
        indented = name.replace("  ", "&nbsp;&nbsp;")
        lines.append(f"| {indented} | {took:.1f} | {took / whole:.1%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist/ and mnist_m/")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    source = digits(args.data / "mnist/mnist.npz", "train", slice(N), 0)
    target, scored = (digits(args.data / "mnist_m/mnist_m.npz", "test", rows, 1) for rows in (slice(N), slice(N, None)))
    began, profile = time.perf_counter(), cProfile.Profile()
    with tempfile.TemporaryDirectory() as place:
        run = profile.runcall(
            acclimate.adapt, source, target[0], Path(place) / "run", score=scored, backbone="cnn", image_size=SIDE,
            seeds=args.seeds, steps=args.steps,
        )  # fmt: skip
        accuracy = {phase: run.scores[phase]["target"]["accuracy"] for phase in ("source_only", "adapted")}
    whole = time.perf_counter() - began
    rows = [(name, seconds(profile, file, function)) for name, file, function in PARTS]
    steps = 2 * args.seeds * args.steps
    text = "\n\n".join(__doc__.split("\n\n")[2:]).strip()
    args.out.write_text(
        f'# Small images\n\n`make bench-small_images ARGS="--data FOLDER"`, seeds: {args.seeds}, '
        f"{args.steps:,} steps, {torch.get_num_threads()} threads, load {os.getloadavg()[1]:.1f} at the end.\n\n{text}"
        f"\n\n{table(rows, whole)}\n\nA step takes {1000 * dict(rows)['  steps'] / steps:.0f} ms on average over both "
        f"trainings. Accuracy on MNIST-M: {accuracy['source_only']:.3f} with the source alone, "
        f"{accuracy['adapted']:.3f} adapted.\n",
        "utf-8",
    )  # fmt: skip


if __name__ == "__main__":
    main()
