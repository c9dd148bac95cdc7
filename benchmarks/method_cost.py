"""The cost of a training step of every method, relative to source-only.

    make bench-method_cost ARGS="--data FOLDER"

64 + 64 examples per step, in memory; networks and inputs of step_cost.py. Options are defaults, except `weight` = 0,
which saves no time and keeps every method from diverging at that benchmark's rate. Methods run in turn, each right
after source-only (64 examples per step); a ratio is the median over rounds of method / source-only. Both include
everything: set-up, sampling, schedule, log, progress bar, surveys of the target, final validation, saved weights.

Rounds in method_cost.jsonl are not repeated.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from step_cost import Workload

from acclimate import methods

STEPS = {"cnn": 60, "mlp, sparse rows": 200}
NETS = {
    "cnn": "the DANN paper's network for MNIST, images of 28 × 28",
    "mlp, sparse rows": "5 000-50-2, bags of words",
}


def seconds(work: Workload, method: str) -> float:
    still = {"weight": 0.0} if "weight" in methods.options(method) else {}
    start = time.perf_counter()
    work.ours(method, **still)
    return time.perf_counter() - start


def measure(work: Workload, rounds: int, kept: Path) -> None:
    """Run what rounds are missing, and note them."""
    done = [(r["net"], r["method"]) for r in read(kept)]
    missing = {name: rounds - done.count((work.name, name)) for name in methods.names() if name != "source_only"}
    for turn in range(max(missing.values()) + 1):
        for name in (n for n, lacks in missing.items() if lacks >= max(turn, 1)):
            beside, took = seconds(work, "source_only"), seconds(work, name)
            if turn:  # the first round warms up
                cost = {"ms": round(1000 * took / work.steps, 3), "ratio": round(took / beside, 3)}
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"net": work.name, "method": name, **cost}) + "\n")


def table(results: list[dict[str, Any]], net: str) -> str:
    """Median over rounds of every method on one net, the cheapest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for r in results:
        if r["net"] == net:
            found.setdefault(r["method"], []).append(r)
    of = {name: [r["ratio"] for r in rows] for name, rows in found.items()}
    plain = statistics.median(r["ms"] / r["ratio"] for rows in found.values() for r in rows)
    lines = [
        f"## {net}: {NETS[net]}\n",
        "| method | ms per step | ratio (median) | ratio (least, most) |",
        "|---|---|---|---|",
        f"| source_only | {plain:.2f} | 1.00 | |",
    ]
    for name in sorted(of, key=lambda n: statistics.median(of[n])):
        ms, ratio = statistics.median(r["ms"] for r in found[name]), statistics.median(of[name])
        lines.append(f"| {name} | {ms:.2f} | {ratio:.2f} | {min(of[name]):.2f}, {max(of[name]):.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist/, mnist_m/, amazon_bow/")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    os.environ["FORCE_COLOR"] = "1"  # the progress bar is drawn, into nothing
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    torch.set_num_threads(args.threads)
    kept = args.out.with_suffix(".jsonl")
    parts = []
    for net, steps in STEPS.items():
        measure(Workload(net, args.data, steps), args.rounds, kept)
        parts.append(table(read(kept), net))
        print(parts[-1], flush=True)
    head = (
        f'# The cost of a step of each method\n\n`make bench-method_cost ARGS="--data FOLDER"`: {args.rounds} rounds, '
        f"{torch.get_num_threads()} threads, torch {torch.__version__}.\n{__doc__.split(chr(10) * 2)[2]}\n"
    )
    args.out.write_text("\n\n".join([head, *parts]) + "\n", "utf-8")


def read(kept: Path) -> list[dict[str, Any]]:
    """The rounds that are done."""
    return [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []


if __name__ == "__main__":
    main()
