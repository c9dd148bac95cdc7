"""Test-time adaptation on mixed and one-class streams of digits, with and without the guard.

    make bench-test_time ARGS="--data FOLDER"

Each pair and seed trains a source-only Run (`cnn`). It then predicts the target's test part as a stream: in random
order; one class alone, afresh for each class; one example at a time.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digits import domains
from numpy.typing import NDArray

from acclimate import adapt
from acclimate.data import Domain
from acclimate.data.inputs import Inputs
from acclimate.methods import testtime
from acclimate.nn import Classifier
from acclimate.runs.run import Run
from acclimate.training.inference import BATCH

METHODS = ("adabn", "tent", "lame")
GUARDS = (0.1, 1.0)
STREAMS = ("shuffled", "one class", "one example")
SINGLES = 1000
"""Examples that come one at a time."""

Codes = NDArray[np.int64]


def source_only(source: Domain, target: Domain, seed: int, steps: int, folder: Path) -> Run:
    return adapt(
        source, target, folder / "run", method="source_only", backbone="cnn", steps=steps, seeds=[seed], image_size=28
    )


def streams(name: str, truth: Codes, seed: int) -> list[Codes]:
    """The rows of each stream of a kind, in the order they come."""
    order = np.random.default_rng(seed).permutation(len(truth))
    if name == "one class":
        return [order[truth[order] == c] for c in np.unique(truth)]
    return [order if name == "shuffled" else order[:SINGLES]]


@torch.no_grad()
def answers(model: torch.nn.Module, inputs: Inputs, rows: Codes, batch: int) -> list[Codes]:
    """The classes that a model gives the examples of a stream, batch by batch."""
    parts = np.array_split(rows, range(batch, len(rows), batch))
    return [model(inputs.batch(part), "target").logits.argmax(1).numpy() for part in parts]


def compare(model: Classifier, inputs: Inputs, truth: Codes, seed: int) -> Iterator[dict[str, Any]]:
    """Every method, guarded and not, beside the unadapted model on every stream."""
    for name in STREAMS:
        batch = 1 if name == "one example" else BATCH
        of_kind = streams(name, truth, seed)
        plain = [answers(model, inputs, rows, batch) for rows in of_kind]
        for method, most in itertools.product(METHODS, GUARDS):
            after, before, changed = [], [], []
            for rows, unadapted in zip(of_kind, plain, strict=True):
                adapting = testtime.get(method)(model, most_changed=most)
                adapted = answers(adapting, inputs, rows, batch)
                after.append(float((np.concatenate(adapted) == truth[rows]).mean()))
                before.append(float((np.concatenate(unadapted) == truth[rows]).mean()))
                changed += [float((a != b).mean()) for a, b in zip(adapted, unadapted, strict=True)]
            yield {
                "stream": name,
                "method": method,
                "most_changed": most,
                "plain": round(statistics.mean(before), 4),
                "accuracy": round(statistics.mean(after), 4),
                "worst": round(min(a - b for a, b in zip(after, before, strict=True)), 4),
                "changed": round(max(changed), 4),
            }


HEAD = """# Test-time adaptation: digits, mixed and one-class streams

`make bench-test_time ARGS="--data FOLDER"`: mean ± sd over {seeds} source-only Runs (`cnn`, {steps} steps on the
source's labelled train part); {minutes:.0f} minutes on one busy core. Each predicts the target's test part in batches
of {batch}, as `acclimate predict --test-time` does. Methods' defaults; no score chose any setting.

- *shuffled*; *one class*: a fresh model per class, mean over classes; *one example*: {singles} in batches of one, to
  which no method adapts
- *guarded*: the default, most_changed = .1; *free*: 1
- *worst*: the lowest accuracy of any stream and seed minus the unadapted model's; *changed*: the largest share of a
  batch whose class changed, which the guard limits
"""


def table(found: list[dict[str, Any]], pair: str) -> str:
    """Accuracy before and after on each stream, and the worst that happened."""
    lines = [
        f"## {pair}\n",
        "| stream | method | unadapted | guarded | worst | changed | free | worst | changed |",
        "|---" * 9 + "|",
    ]
    for stream, method in itertools.product(STREAMS, METHODS):
        of_row = [f for f in found if (f["pair"], f["stream"], f["method"]) == (pair, stream, method)]
        cells = [spread([f["plain"] for f in of_row if f["most_changed"] == GUARDS[0]])]
        for most in GUARDS:
            guarded = [f for f in of_row if f["most_changed"] == most]
            cells.append(spread([f["accuracy"] for f in guarded]))
            cells.append(f"{min(f['worst'] for f in guarded):+.3f}")
            cells.append(f"{max(f['changed'] for f in guarded):.3f}")
        lines.append(f"| {stream} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(scores: list[float]) -> str:
    sd = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.4f}{sd}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist/, usps/")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    kept = args.out.with_suffix(".jsonl")  # whose Runs are not repeated
    found = [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    pairs = {f"{source} → {target}": (source, target) for source, target in (("usps", "mnist"), ("mnist", "usps"))}
    for (pair, names), seed in itertools.product(pairs.items(), range(args.seeds)):
        if any((f["pair"], f["seed"]) == (pair, seed) for f in found):
            continue
        start = time.perf_counter()
        source, target, test = domains(args.data, *names)
        with tempfile.TemporaryDirectory() as folder:
            run = source_only(source, target.without_labels(), seed, args.steps, Path(folder))
            model = run.model("source_only")
            assert isinstance(model, Classifier)
            inputs, truth = run.preprocess.inputs(test), test.codes(run.recipe.classes)
            new = [{"pair": pair, "seed": seed, **f} for f in compare(model, inputs, truth, seed)]
        new[0]["seconds"] = round(time.perf_counter() - start, 1)
        found += new
        lines = [json.dumps(f, ensure_ascii=False) + "\n" for f in new]
        print("".join(lines), end="", flush=True)
        with kept.open("a", encoding="utf-8") as file:
            file.writelines(lines)
    minutes = sum(f.get("seconds", 0) for f in found) / 60
    head = HEAD.format(seeds=args.seeds, steps=args.steps, minutes=minutes, batch=BATCH, singles=SINGLES)
    args.out.write_text("\n\n".join([head, *(table(found, pair) for pair in pairs)]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
