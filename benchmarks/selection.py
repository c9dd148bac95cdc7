"""Which model to keep without labels of the target: every validator, our choice, and fixed methods.

    make bench-selection ARGS="--data FOLDER"

Each task (tasks.py) has a pool of models for each seed: source-only and every method that takes vectors, with default
options. The network is `mlp` with {hidden} features, trained for {steps} steps of 64 + 64 examples; a fifth of the
source is held out. Accuracies are those on the target's labels, which nothing else reads.

A validator chooses the model that it scores highest, with and without the gates before it. `ours` is
`validators.selection.select` with its default weights. A fixed method is always kept. The oracle keeps the best model
of the pool. "Regret" is the oracle's accuracy less that of the choice, in points; "harm" is the share of tasks on which
the choice, as the mean over seeds, is more than a point below source-only.

Tasks in selection.jsonl are not repeated.
"""

import argparse
import json
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tasks import Rows, Task, tasks

import acclimate
from acclimate import Training, backbones, methods, validators
from acclimate.data.loaders import split
from acclimate.errors import BadInput
from acclimate.validators.candidate import Candidate
from acclimate.validators.gates import reasons
from acclimate.validators.mixval import RATIO, draw_pairs
from acclimate.validators.selection import select

HIDDEN, STEPS, VIEW = 100, 500, 0.2
"""Features, steps, and the noise of a second view in standard deviations of a feature."""
FEATURES = 600
"""Rows of each domain whose features validators see."""
LEFT_OUT = ("supervised", "byol", "vicreg", "adabn", "vada", "adda")
"""Methods that need labels of the target, views of images or batch norm, or a phase of their own."""


def train(task: Task, method: str, seed: int, before: Any) -> tuple[Any, Rows]:
    """A fitted method, and the validation split; a method that never sees the source starts from source-only."""
    rows, held = split(task.source.y, 0.2, seed)
    model = new_model(task, seed) if "source" in methods.get(method).needs else before.model
    fitted = acclimate.fit(
        method, (task.source.x[rows], task.source.y[rows]), task.target.x, model=model, seed=seed,
        training=Training(steps=STEPS, optimizer="adamw", lr=1e-3, schedule="cosine", weight_decay=1e-2),
    )  # fmt: skip
    return fitted, Rows(task.source.x[held], task.source.y[held])


def new_model(task: Task, seed: int) -> Any:
    torch.manual_seed(seed)
    shape = backbones.Shape(images=False, n_features=task.source.x.shape[1])
    return backbones.build("mlp", shape, task.classes, {"hidden": HIDDEN}).classifier


def candidate(task: Task, method: str, fitted: Any, held: Rows, seen: Any, pairs: Any) -> Candidate:
    """What validators see of a model."""
    x, target = task.target.x[seen], fitted.outputs(task.target.x)
    source, noise = fitted.outputs(held.x, domain="source"), np.random.default_rng(0).normal(size=task.target.x.shape)
    second = fitted.outputs((task.target.x + VIEW * noise).astype(np.float32))
    mixed = RATIO * x[pairs[:, 0]] + (1 - RATIO) * x[pairs[:, 1]]
    known = np.arange(min(FEATURES, len(held.y)))
    return Candidate(
        method, source.probabilities, held.y, target.probabilities, source.features[known].astype(float), known,
        target.features[seen].astype(float), seen, fitted.model.head.weight.detach().numpy().astype(float),
        second.probabilities, seen[pairs], fitted.outputs(mixed.astype(np.float32)).probabilities,
    )  # fmt: skip


def pool(task: Task, seed: int) -> list[tuple[Candidate, float]]:
    """Every method's model with its accuracy, source-only first."""
    seen = np.random.default_rng(seed).permutation(len(task.target.y))[:FEATURES]
    before: Any = None
    pairs: Any = None
    found = []
    for method in ["source_only", *(m for m in methods.names() if m not in {"source_only", *LEFT_OUT})]:
        try:
            fitted, held = train(task, method, seed, before)
        except BadInput as error:
            print(task.name, method, error)
            continue
        if before is None:
            before = fitted
            pairs = draw_pairs(fitted.outputs(task.target.x[seen]).probabilities.argmax(1), seed=seed)
        one = candidate(task, method, fitted, held, seen, pairs)
        found.append((one, float((one.target.argmax(1) == task.target.y).mean())))
    return found


def judged(task: Task, seed: int) -> dict[str, Any]:
    """One line of the results: what each model reaches, and what is said of it."""
    began, found = time.perf_counter(), pool(task, seed)
    candidates = [one for one, _ in found]
    scores = {name: [score.value for score in validators.get(name)().scores(candidates)] for name in validators.names()}
    return {
        "family": task.family, "task": task.name, "seed": seed, "methods": [one.method for one in candidates],
        "accuracy": [round(accuracy, 5) for _, accuracy in found], "gates": reasons(candidates, 0),
        "source": [float((one.source.argmax(1) == one.labels).mean()) for one in candidates],
        "scores": {name: [round(v, 6) if np.isfinite(v) else None for v in values] for name, values in scores.items()},
        "ours": select(candidates, 0).choice, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


Line = dict[str, Any]


def best_of(scores: Sequence[float | None], allowed: Sequence[bool]) -> int:
    """The position of the highest score among those allowed; source-only where there is none."""
    values = [v if ok and v is not None else -np.inf for v, ok in zip(scores, allowed, strict=True)]
    return int(np.argmax(values)) if max(values) > -np.inf else 0


def chooser(name: str, *, gated: bool) -> Callable[[Line], int]:
    def choose(line: Line) -> int:
        passed = [not (gated and reason) for reason in line["gates"]]
        return best_of(line["scores"][name], passed)

    return choose


def fixed(method: str) -> Callable[[Line], int]:
    return lambda line: line["methods"].index(method) if method in line["methods"] else 0


def choosers(lines: Sequence[Line]) -> Mapping[str, Callable[[Line], int]]:
    """Every way to choose, by name."""
    known = sorted({method for line in lines for method in line["methods"]} - {"source_only"})
    return {
        "oracle": lambda line: int(np.argmax(line["accuracy"])),
        "**ours**": lambda line: int(line["ours"]),
        **{f"{name}, behind the gates": chooser(name, gated=True) for name in validators.names()},
        **{name: chooser(name, gated=False) for name in validators.names()},
        **{f"always {method}": fixed(method) for method in known},
        "always source_only": lambda _: 0,
    }


def by_task(lines: Sequence[Line], choose: Callable[[Line], int]) -> Iterator[tuple[float, float, float]]:
    """For each task the mean over seeds of the accuracy chosen, of source-only and of the oracle."""
    groups: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for line in lines:
        accuracy = line["accuracy"]
        groups[(line["family"], line["task"])].append((accuracy[choose(line)], accuracy[0], max(accuracy)))
    for values in groups.values():
        yield tuple(np.mean(values, axis=0))


def table(lines: Sequence[Line]) -> str:
    """A row for each way to choose, the smallest regret first."""
    rows = []
    for name, choose in choosers(lines).items():
        chosen, before, best = np.array(list(by_task(lines, choose))).T * 100
        regret = best - chosen
        rows.append((regret.mean(), [
            name, f"{chosen.mean():.1f}", f"{regret.mean():.2f}", f"{np.quantile(regret, 0.95):.1f}",
            f"{(chosen < before - 1).mean():.0%}", f"{(chosen - before).mean():+.1f}",
        ]))  # fmt: skip
    head = ["choice", "accuracy", "regret", "95th percentile", "harm", "gain"]
    shown = [head, ["---"] * len(head), *(cells for _, cells in sorted(rows, key=lambda row: row[0]))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in shown)


def read(kept: Path) -> list[Line]:
    return [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each data set")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--families", nargs="*", help="only these data sets")
    parser.add_argument("--kept", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    done = {(line["family"], line["task"], line["seed"]) for line in read(args.kept)}
    for task in tasks(args.data, args.families):
        for seed in range(args.seeds):
            if (task.family, task.name, seed) not in done:
                line = judged(task, seed)
                with args.kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(line["family"], line["task"], seed, line["seconds"], flush=True)
    lines = read(args.kept)
    families, n = sorted({line["family"] for line in lines}), len({(line["family"], line["task"]) for line in lines})
    text = "\n\n".join(__doc__.split("\n\n")[2:]).strip().format(hidden=HIDDEN, steps=STEPS)
    head = f'# A choice without labels\n\n`make bench-selection ARGS="--data FOLDER"`: {n} tasks of {len(families)} '
    head += f"families ({', '.join(families)}), {args.seeds} seeds, {os.cpu_count()} cores.\n\n{text}"
    args.kept.with_suffix(".md").write_text(f"{head}\n\n{table(lines)}\n", "utf-8")


if __name__ == "__main__":
    main()
