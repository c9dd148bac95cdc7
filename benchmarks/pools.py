"""Trained models of every task (tasks.py), kept in a folder, that selection.py and estimate.py judge.

    python benchmarks/pools.py --data FOLDER --pools FOLDER

Each pair of domains is taken plain and in one harder form, in turns. A pool holds the models of one task and seed:
every method that takes vectors, with its default options and with its adaptation weakened to 0.3 (the method's
`weight`, else the rate), after half of the steps and at the end. The network is `mlp` with 100 features, trained for
300 steps of 64 + 64 examples; discriminators have hidden layers of 256; a fifth of the source is held out. A pool that
is there already is not trained again.
"""

import argparse
import json
import os
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tasks import Task, tasks

import acclimate
from acclimate import Training, backbones, methods
from acclimate.data.loaders import split
from acclimate.errors import BadInput
from acclimate.nn import Classifier
from acclimate.training.engine import Diverged
from acclimate.training.examples import inputs_of
from acclimate.training.inference import Predictions, predict
from acclimate.validators.candidate import Candidate
from acclimate.validators.mixval import RATIO, draw_pairs

HIDDEN, STEPS, WEAKER = 100, 300, 0.3
"""Features, steps, and what the strength of the adaptation is multiplied by in the second setting."""
WIDTHS = (256, 256)
"""Of a discriminator's hidden layers, a quarter of the default, which take most of the time."""
VIEW = 0.2
"""The noise of a second view in standard deviations of a feature."""
FEATURES = 600
"""Rows of each domain whose features validators see."""
LEFT_OUT = ("source_only", "supervised", "byol", "vicreg", "adabn", "vada", "deepjdot")
"""Methods that need labels of the target, views of images or batch norm, or that train one by one, too long."""
PARTS = ("source", "target", "second", "mixed", "source_features", "target_features", "head")
"""Arrays that each model of a pool has."""


class Pool(NamedTuple):
    """The models of one task and seed, source-only first.

    Attributes:
        family: The task's data set.
        task: Its name.
        seed: The models'.
        names: ``method``, or ``method weaker``, and the steps done, of each model.
        candidates: What validators see of each.
        accuracy: On the target's labels, which nothing else reads ``(m,)``.
        labels: Those labels ``(n,)``.
        seconds: Time of the trainings of all seeds.
    """

    family: str
    task: str
    seed: int
    names: list[str]
    candidates: list[Candidate]
    accuracy: NDArray[np.float64]
    labels: NDArray[np.int64]
    seconds: float


def chosen(every: Iterator[Task]) -> list[Task]:
    """The plain task of each pair and one harder one, in an order that mixes the families."""
    found: list[Task] = []
    for i, (_, of_pair) in enumerate(groupby(every, lambda task: (task.family, task.pair))):
        plain, *harder = of_pair
        found += [plain, harder[i % len(harder)]]
    return sorted(found, key=lambda task: zlib.crc32(f"{task.family}, {task.name}".encode()))


def new_model(task: Task) -> Classifier:
    shape = backbones.Shape(images=False, n_features=task.source.x.shape[1])
    return backbones.build("mlp", shape, task.classes, {"hidden": HIDDEN}).classifier


def settings_of(method: str) -> list[Mapping[str, object]]:
    """The default, and a weaker adaptation."""
    options = methods.options(method)
    usual: dict[str, object] = {"widths": WIDTHS} if len(getattr(options.get("widths"), "default", ())) == 2 else {}
    if "weight" in options:
        return [usual, {**usual, "weight": WEAKER * options["weight"].default}]
    return [usual, {"train.lr": WEAKER * 1e-3}]


Model = tuple[str, Classifier]


def trained(task: Task, held: Any, seeds: Sequence[int]) -> dict[int, list[Model]]:
    """The models of each seed by name, source-only first."""
    rows = np.setdiff1d(np.arange(len(task.source.y)), held)
    source = task.source.x[rows], task.source.y[rows]
    training = Training(steps=STEPS, optimizer="adamw", lr=1e-3, schedule="cosine", weight_decay=1e-2)
    found: dict[int, list[Model]] = {seed: [] for seed in seeds}

    def add(method: str, some: Sequence[int], settings: Any, model: Any) -> None:
        fitted = acclimate.fit_many(
            method, source, task.target.x, seeds=some, settings=settings, model=model, training=training,
            snapshots=[STEPS // 2],
        )  # fmt: skip
        for i, one in enumerate(fitted):
            name = f"{method} weaker" if i >= len(some) else method
            found[some[i % len(some)]] += [(f"{name}, {STEPS}", one.model)]
            found[some[i % len(some)]] += [(f"{name}, {step}", model) for step, model in one.snapshots.items()]

    torch.manual_seed(0)
    empty = new_model(task).backbone
    add("source_only", seeds, [{}], empty)
    before = {seed: found[seed][0][1] for seed in seeds}
    for method in (name for name in methods.names() if name not in LEFT_OUT):
        try:
            if "source" in methods.get(method).needs:
                add(method, seeds, settings_of(method), empty)
            else:
                for seed in seeds:
                    add(method, [seed], settings_of(method), before[seed])
        except (BadInput, Diverged) as error:
            print(task.family, task.name, method, error, flush=True)
    return found


def write_pools(task: Task, seeds: Sequence[int], paths: Mapping[int, Path]) -> None:
    """Train the models of a task and keep what validators see of them."""
    began = time.perf_counter()
    _, held = split(task.source.y, 0.2, 0)
    found = trained(task, held, seeds)
    seconds = time.perf_counter() - began
    for seed in seeds:
        seen = np.random.default_rng(seed).permutation(len(task.target.y))[:FEATURES]
        first = outputs(found[seed][0][1], task.target.x[seen]).probabilities.argmax(1)
        pairs = draw_pairs(first, seed=seed)
        of_models = [_arrays(task, model, held, seen, pairs) for _, model in found[seed]]
        arrays: dict[str, Any] = {part: np.stack([one[part] for one in of_models]) for part in PARTS}
        more: dict[str, Any] = {
            "names": np.array([name for name, _ in found[seed]]), "seen": seen, "pairs": seen[pairs],
            "held_labels": task.source.y[held], "labels": task.target.y, "seconds": np.array(seconds),
            "task": np.array([task.family, task.name]), "seed": np.array(seed),
        }  # fmt: skip
        partial = paths[seed].with_suffix(".partial.npz")
        np.savez(partial, **arrays, **more)
        partial.rename(paths[seed])


def outputs(model: Classifier, x: Any, domain: str = "target") -> Predictions:
    return predict(model, inputs_of(np.ascontiguousarray(x, dtype=np.float32)), domain)


def _arrays(task: Task, model: Classifier, held: Any, seen: Any, pairs: Any) -> dict[str, Any]:
    x = task.target.x
    noise = np.random.default_rng(0).normal(size=x.shape)
    target, source = outputs(model, x), outputs(model, task.source.x[held], "source")
    mixed = RATIO * x[seen[pairs[:, 0]]] + (1 - RATIO) * x[seen[pairs[:, 1]]]
    return {
        "source": source.probabilities.astype(np.float32), "target": target.probabilities.astype(np.float32),
        "second": outputs(model, x + VIEW * noise).probabilities.astype(np.float32),
        "mixed": outputs(model, mixed).probabilities.astype(np.float32),
        "source_features": source.features[:FEATURES].astype(np.float16),
        "target_features": target.features[seen].astype(np.float16),
        "head": model.head.state_dict()["weight"].numpy().astype(np.float32),
    }  # fmt: skip


def read_pool(path: Path) -> Pool:
    """A pool that `write_pools` kept."""
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    known = np.arange(kept["source_features"].shape[1])
    candidates = [
        Candidate(
            name.split()[0].rstrip(","), _even(kept["source"][i]), kept["held_labels"], _even(kept["target"][i]),
            kept["source_features"][i].astype(float), known, kept["target_features"][i].astype(float), kept["seen"],
            kept["head"][i].astype(float), _even(kept["second"][i]), kept["pairs"], _even(kept["mixed"][i]),
        )
        for i, name in enumerate(kept["names"].tolist())
    ]  # fmt: skip
    right = kept["target"].argmax(2) == kept["labels"]
    family, task = kept["task"].tolist()
    return Pool(
        family, task, int(kept["seed"]), kept["names"].tolist(), candidates, right.mean(1), kept["labels"],
        float(kept["seconds"]),
    )  # fmt: skip


def read_lines(kept: Path) -> list[dict[str, Any]]:
    """What a benchmark kept of the pools that it has judged; nothing if there is no file yet."""
    return [json.loads(line) for line in kept.read_text("utf-8").splitlines()] if kept.exists() else []


def at_end(pool: Pool) -> list[int]:
    """The positions of the models with default options at the end of their training, source-only first."""
    return [i for i, name in enumerate(pool.names) if "weaker" not in name and name.endswith(f" {STEPS}")]


def _even(p: Any) -> Any:
    """Probabilities in double precision that sum to 1."""
    p = p.astype(float)
    return p / p.sum(1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each data set")
    parser.add_argument("--pools", type=Path, required=True, help="folder for the pools")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--families", nargs="*", help="only these data sets")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    args.pools.mkdir(parents=True, exist_ok=True)
    for task in chosen(tasks(args.data, args.families)):
        name = f"{task.family}, {task.name}".replace(" ", "_")
        paths = {seed: args.pools / f"{name}_{seed}.npz" for seed in range(args.seeds)}
        missing = [seed for seed, path in paths.items() if not path.exists()]
        if missing:
            began = time.perf_counter()
            write_pools(task, missing, paths)
            print(name, missing, f"{time.perf_counter() - began:.0f} s", os.getloadavg()[0], flush=True)


if __name__ == "__main__":
    main()
