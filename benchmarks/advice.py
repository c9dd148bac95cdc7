"""`acclimate advise` beside fixed choices: how much accuracy the advised strategy loses to the best one.

    make bench-advice ARGS="--data FOLDER"

A task is a pair of domains of tasks.py and a number of labelled target examples per class: 0, 3, 10, 50 or 200. The
labels are drawn from a half of the target, anew for each of 3 seeds; accuracy is of the other half. All of the target
is seen without labels. Digits are images of 16 x 16 pixels and the small network for images; all else is vectors with
one hidden layer of 100 (photographs are kept features of EfficientNet-Lite0, sentences of MiniLM). Trainings have 300
steps of 64 examples per domain.

The advice is that of `acclimate.advise` for these domains, which knows the number of labels and no label of the target.
Fixed choices get the same labels: *DANN* in each batch, *fine-tune* by continuing from the source's model on the
target's labels at a tenth of the rate, *linear probe* by logistic regression on frozen features (the source's network;
kept features where there are some) of the target's labels, and *probe of both* of source and target together, each half
of the weight. *Regret* is the distance to the best of all strategies by the labels of the target.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pools import read_lines
from sklearn.linear_model import LogisticRegression
from tasks import LARGEST, Rows, Task, tasks

import acclimate
from acclimate import Training, backbones
from acclimate.nn import Classifier
from acclimate.training.fit import Fitted

SEEDS, STEPS, HIDDEN = int(os.environ.get('S', 3)), 300, 100
BUDGETS = (0, 3, 10, 50)
WIDTHS = {"widths": (256, 256)}
KEPT = ("pacs", "sentences", "words")
"""Families whose vectors are features of a frozen network, or words."""
TRAINING = Training(steps=STEPS, optimizer="adamw", lr=1e-3, schedule="cosine", weight_decay=1e-2)
SLOW = Training(steps=STEPS, optimizer="adamw", lr=1e-4, schedule="cosine", weight_decay=1e-2)

Line = dict[str, Any]
Numbers = NDArray[np.float64]


class Draw(NamedTuple):
    """A task with some labelled target examples and those that are scored."""

    task: Task
    labels: Rows | None
    scored: NDArray[np.int64]
    seed: int

    @property
    def source(self) -> Rows:
        return self.task.source

    @property
    def target(self) -> Any:
        return self.task.target.x


def drawn(task: Task, budget: int, seed: int) -> Draw | None:
    """The labels of one seed; None if a class has too few."""
    y = task.target.y
    half = np.random.default_rng(0).permutation(len(y))
    pool, scored = half[: len(y) // 2], half[len(y) // 2 :]
    rng, rows = np.random.default_rng(seed + 1), []
    for code in range(task.classes):
        own = rng.permutation(pool[y[pool] == code])
        if len(own) < budget:
            return None
        rows.append(own[:budget])
    some = np.concatenate(rows).astype(np.int64)
    return Draw(task, Rows(task.target.x[some], y[some]) if budget else None, scored, seed)


def new_model(draw: Draw) -> Classifier:
    torch.manual_seed(draw.seed)
    if draw.task.family == "digits":
        pixels = np.concatenate([draw.source.x, draw.target]).reshape(-1, 3)
        shape = backbones.Shape(images=True, size=16, mean=pixels.mean(0).tolist(), std=pixels.std(0).tolist())
        return backbones.build("cnn", shape, draw.task.classes, {}).classifier
    shape = backbones.Shape(images=False, n_features=draw.source.x.shape[1])
    return backbones.build("mlp", shape, draw.task.classes, {"hidden": HIDDEN}).classifier


def fit(draw: Draw, method: str, *, start: Fitted | None = None, training: Training = TRAINING) -> Fitted:
    """One training, with the labelled target examples where the method can learn from them."""
    alone = method == "supervised"  # in memory it takes the labelled target in the place of the source
    options = WIDTHS if method in {"dann", "cdan"} else {"label_smoothing": 0.1} if method == "source_only" else {}
    [fitted] = acclimate.fit_many(
        method, tuple(draw.labels if alone and draw.labels else draw.source), draw.target, seeds=[draw.seed], settings=[options],
        model=start.model if start else new_model(draw), training=training,
        target_labels=tuple(draw.labels) if draw.labels and method not in {"shot", "nrc", "supervised"} else None,
    )  # fmt: skip
    return fitted


def probabilities(fitted: Fitted, draw: Draw) -> Numbers:
    return fitted.predict_proba(draw.target)


def unsupervised(draw: Draw, start: Fitted) -> list[Numbers]:
    """What the methods of ``auto`` predict, from the source's model."""
    third = "mcc" if draw.task.family == "digits" else "nrc"
    begun = {name: start if name in {"shot", "nrc"} else None for name in ("shot", third, "cdan")}
    return [probabilities(fit(draw, name, start=model), draw) for name, model in begun.items()]


def probe(draw: Draw, start: Fitted, *, both: bool) -> Numbers:
    """A logistic regression on frozen features: of the target's labels, or of both domains, each half of the weight."""
    parts = [draw.source] * (both or draw.labels is None) + ([draw.labels] if draw.labels else [])
    y = np.concatenate([part.y for part in parts])
    weights = np.concatenate([np.full(len(part.y), len(y) / len(part.y)) for part in parts])
    x = np.concatenate([frozen(draw, start, part.x) for part in parts])
    mean, sd = x.mean(0), x.std(0) + 1e-6
    model = LogisticRegression(C=0.1, max_iter=300).fit((x - mean) / sd, y, weights / weights.mean())
    found = np.zeros((len(draw.target), draw.task.classes))
    found[:, model.classes_] = model.predict_proba((frozen(draw, start, draw.target) - mean) / sd)
    return found


def frozen(draw: Draw, start: Fitted, x: Any) -> Numbers:
    return x if draw.task.family in KEPT else start.outputs(x).features


def strategies(draw: Draw, kept: dict[str, list[Numbers]]) -> dict[str, Numbers]:
    """The probabilities of each strategy ``(n, k)``; those without labels are kept for other budgets."""
    bare = draw._replace(labels=None)
    if not kept:
        start = fit(bare, "source_only")
        kept["start"] = [start]
        kept["unsupervised"] = unsupervised(bare, start)
        kept["dann"] = [probabilities(fit(bare, "dann"), bare)]
    [start], members = kept["start"], kept["unsupervised"]
    found = {"source_only": probabilities(start, draw), "auto": np.mean(members, axis=0)}
    found["probe"], found["probe of both"] = (probe(draw, start, both=both) for both in (False, True))
    if draw.labels is None:
        return found | {"dann": kept["dann"][0], "fine-tune": found["source_only"]}
    both = fit(draw, "source_only")
    shot = fit(bare, "shot", start=both)
    nrc = fit(bare, "nrc", start=both)
    found |= {
        "both": probabilities(both, draw), "both, shot": probabilities(shot, draw),
        "both, shot+nrc": (probabilities(shot, draw) + probabilities(nrc, draw)) / 2,
        "dann": probabilities(fit(draw, "dann"), draw), "mcc": probabilities(fit(draw, "mcc"), draw),
        "both, slow": probabilities(fit(draw, "source_only", start=start, training=SLOW), draw),
        "fine-tune": probabilities(fit(draw, "supervised", start=start, training=SLOW), draw),
        "supervised": probabilities(fit(draw, "supervised"), draw),
    }  # fmt: skip
    return found


def measured(task: Task) -> Iterator[Line]:
    """The accuracy of each strategy at each budget, by seed, in percent."""
    kept: list[dict[str, Any]] = [{} for _ in range(SEEDS)]
    for budget in BUDGETS:
        began, accuracy = time.perf_counter(), {}
        for seed in range(SEEDS):
            if (draw := drawn(task, budget, seed)) is None:
                return
            for name, p in strategies(draw, kept[seed]).items():
                right = (p.argmax(1) == task.target.y)[draw.scored].mean()
                accuracy.setdefault(name, []).append(round(100 * float(right), 2))
        yield {
            "family": task.family, "pair": task.pair, "budget": budget, "accuracy": accuracy,
            "seconds": round(time.perf_counter() - began, 1),
        }  # fmt: skip


def images(folder: Path, name: str) -> Rows:
    """Digits as coloured images of 16 x 16 pixels."""
    part = "train" if name == "mnist" else "test"  # the test images of MNIST-M hold the test digits of MNIST
    with np.load(folder / f"{name}/{name}.npz") as stored:
        rows = np.random.default_rng(0).permutation(len(stored[f"y_{part}"]))[:LARGEST]
        x, y = stored[f"x_{part}"][rows], stored[f"y_{part}"][rows]
    small = [Image.fromarray(image).convert("RGB").resize((16, 16), Image.Resampling.BILINEAR) for image in x]
    return Rows(np.stack([np.asarray(image) for image in small]), y.astype(np.int64))


def every(folder: Path, families: Sequence[str] | None) -> Iterator[Task]:
    for task in tasks(folder, families):
        if task.variant == "plain":
            if task.family == "digits":
                source, target = (images(folder, name) for name in task.pair.split(" to "))
                task = task._replace(source=source, target=target)
            yield task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each data set")
    parser.add_argument("--keep", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    parser.add_argument("--families", nargs="*", help="only these data sets")
    parser.add_argument("--pairs", nargs="*", help="only these pairs")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    known = {(line["family"], line["pair"]) for line in read_lines(args.keep)}
    for task in every(args.data, args.families):
        if (task.family, task.pair) in known or (args.pairs and task.pair not in args.pairs):
            continue
        for line in measured(task):
            with args.keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            means = {name: round(float(np.mean(values)), 1) for name, values in line["accuracy"].items()}
            print(line["pair"], line["budget"], means, line["seconds"], flush=True)


if __name__ == "__main__":
    main()
