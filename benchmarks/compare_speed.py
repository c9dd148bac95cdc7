"""The cost of several seeds trained as one batched model, and of `acclimate compare`.

    make bench-compare_speed

3 000 + 3 000 vectors of 256 and 512 numbers in seven overlapping clusters, the target's shifted; the default network
for vectors (50 hidden units), 64 + 64 examples a step. `acclimate.fit_many` includes everything: set-up, tracing,
sampling, history. All variants run in turn in one process, round after round; a ratio is the median over rounds of
variant / one run, of wall time and, in parentheses, of the process's CPU time. skada's is its whole `fit` of one seed
on the same network, for DANN with the same discriminator.

Of `acclimate compare` all is counted, from the vectors to the page and the Run; each method has
two settings.
"""

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import acclimate
from acclimate import fit_many
from acclimate.nn import mlp, reverse_grad

ROWS, CLASSES, BATCH = 3000, 7, 64
TWELVE = (
    "source_only", "mcc", "deep_coral", "dan", "bnm", "afn", "mdd", "mcd", "jan", "self_training", "dann", "cdan",
)  # fmt: skip
"""The twelve of `compare`'s goal."""
Vectors = NDArray[np.float32]
Data = tuple[tuple[Vectors, NDArray[np.int64]], Vectors]
Seconds = tuple[float, float]
"""Of wall time and of CPU time."""


def drawn(d: int, rows: int = ROWS) -> Data:
    """Seven overlapping clusters, shifted in the target."""
    rng = np.random.default_rng(0)
    centres, labels = rng.normal(size=(CLASSES, d)), np.arange(rows) % CLASSES
    source, target = (centres[labels] + 3 * rng.normal(size=(rows, d)) for _ in range(2))
    return (source.astype(np.float32), labels), (target + rng.normal(size=d)).astype(np.float32)


def timed(run: Callable[[], object]) -> Seconds:
    """Seconds that a call takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def variants(method: str, data: Data, steps: int) -> dict[str, Callable[[], object]]:
    """One run, five one by one, and five and ten at once."""
    training = acclimate.Training(steps=steps, batch_size=BATCH)

    def seeds(n: int) -> list[acclimate.Fitted]:
        return fit_many(method, *data, seeds=range(n), training=training)

    def one_by_one() -> list[acclimate.Fitted]:
        return [fit_many(method, *data, seeds=[seed], training=training)[0] for seed in range(5)]

    return {
        "one": lambda: seeds(1),
        "5 runs": one_by_one,
        "5 at once": lambda: seeds(5),
        "10 at once": lambda: seeds(10),
    }


def rounds(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[Seconds]]:
    """Seconds of each round, all runs in turn in each."""
    found: dict[str, list[Seconds]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            seconds = timed(run)
            if turn:  # the first round warms up
                found[name].append(seconds)
    return found


def ratio(found: Mapping[str, list[Seconds]], name: str) -> str:
    """The median ratio to one run, of wall time and of CPU time."""
    wall, cpu = (
        statistics.median(a[which] / b[which] for a, b in zip(found[name], found["one"], strict=True))
        for which in (0, 1)
    )
    return f"{wall:.2f} ({cpu:.2f})"


def skada(method: str, data: Data, steps: int) -> Callable[[], object]:
    """The loop of skada for one seed."""
    from skada.deep import DANN, DeepCoral

    (x, y), target = data
    net = nn.Sequential(OrderedDict(hidden=nn.Linear(x.shape[1], 50), relu=nn.ReLU(), head=nn.Linear(50, CLASSES)))
    same: dict[str, Any] = {
        "layer_name": "relu",
        "batch_size": BATCH,
        "max_epochs": max(1, round(steps * BATCH / ROWS)),
        "train_split": None,
        "verbose": 0,
        "optimizer": torch.optim.AdamW,
        "lr": 1e-3,
    }
    if method == "dann":
        model = DANN(net, reg=1, domain_classifier=Discriminator(), domain_criterion=nn.BCEWithLogitsLoss(), **same)
    else:
        model = DeepCoral(net, reg=1, **same)
    domains, labels = np.repeat([1, -2], ROWS), np.concatenate([y, np.full(ROWS, -1)])
    return lambda: model.fit(np.concatenate([x, target]), labels, sample_domain=domains)


class Discriminator(nn.Module):
    """Of domains, with its gradient reversed: skada takes any module."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(50, 1024, 1024, 1)

    def forward(self, x: torch.Tensor, sample_weight: object = None) -> torch.Tensor:
        """Logits ``(n,)``."""
        logits: torch.Tensor = self.net(reverse_grad(x))
        return logits.squeeze(-1)


def table(d: int, args: argparse.Namespace) -> str:
    """A line for each method."""
    lines = [f"| {d} numbers | one run | 5 one by one | 5 at once | 10 at once | skada |", "|---|---|---|---|---|---|"]
    for method in args.methods:
        runs = variants(method, drawn(d), args.steps)
        if method in {"dann", "deep_coral"} and importlib.util.find_spec("skada"):
            runs["skada"] = skada(method, drawn(d), args.steps)
        found = rounds(runs, args.repeats)
        one = statistics.median(wall for wall, _ in found["one"])
        ratios = [
            ratio(found, name) if name in found else "" for name in ("5 runs", "5 at once", "10 at once", "skada")
        ]
        lines.append(f"| {method} | {one:.2f} s | {' | '.join(ratios)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def compared(methods: Sequence[str], *, steps: int, seeds: int = 5, rows: int = ROWS, workers: int = 1) -> float:
    """Seconds of `acclimate.compare` on vectors of 256 numbers."""
    data = drawn(256, rows)
    with tempfile.TemporaryDirectory() as folder:
        given: Any = {"methods": methods, "seeds": seeds, "steps": steps, "workers": workers}
        seconds, _ = timed(lambda: acclimate.compare(*data, Path(folder) / "compared", **given))
    print(
        f"compare: {len(methods)} methods, {seeds} seeds, {rows} rows, {workers} workers: {seconds:.1f} s", flush=True
    )
    return seconds


def comparison(args: argparse.Namespace) -> str:
    """Seconds of `acclimate compare`: with twelve methods, and how they grow."""
    some, steps = ["mcc", "bnm", "mdd"], args.steps
    compared(some, steps=10, seeds=1)  # what is imported and warmed up on the way
    whole = compared(TWELVE, steps=args.long)
    base, seeds, rows, two = (
        compared(some, steps=steps, **more) for more in ({}, {"seeds": 20}, {"rows": 10 * ROWS}, {"workers": 2})
    )
    lines = [
        f"| 12 methods, 5 seeds, {args.long} steps | {whole:.0f} s |  |",
        f"| source_only, mcc, bnm and mdd, 5 seeds, {steps} steps | {base:.1f} s |  |",
        f"| the same with 20 seeds | {seeds:.1f} s | {seeds / base:.2f} of 5 seeds |",
        f"| the same with 30 000 + 30 000 vectors | {rows:.1f} s | {rows / base:.2f} of 3 000 + 3 000 |",
        f"| the same in two processes | {two:.1f} s | {two / base:.2f} of one process |",
    ]
    return "\n".join(["| `acclimate compare` | time | ratio |", "|---|---|---|", *lines])


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300, help="of the ratios, and of what grows")
    parser.add_argument("--long", type=int, default=1000, help="steps of twelve methods")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--methods", nargs="*", default=["source_only", "mcc", "deep_coral", "dann"])
    parser.add_argument("--skip-compare", action="store_true", help="leave out compare")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    parts = [table(d, args) for d in (256, 512)]
    parts += [] if args.skip_compare else [comparison(args)]
    head = (
        f"# The cost of several seeds at once\n\n`make bench-compare_speed`: {args.repeats} rounds of {args.steps} "
        f"steps, {args.threads} threads, torch {torch.__version__}, no compiler.\n"
        + "\n\n".join(__doc__.strip().split("\n\n")[2:])
    )
    args.out.write_text("\n\n".join([head, *parts]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
