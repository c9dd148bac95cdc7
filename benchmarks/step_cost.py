"""The cost of one training step relative to a bare supervised loop in plain PyTorch.

    make bench-step_cost ARGS="--data FOLDER"

64 + 64 examples per step, in memory. All variants run in turn in one process, round after round; a ratio is the median
over rounds of variant / bare loop. Acclimate's time includes everything: `acclimate.fit` with set-up, sampling,
schedule, history, final validation and batch-norm statistics, over 150 steps of the CNN, 1 000 on dense and 2 000 on
sparse rows. skada's is its whole `fit`.
"""

import argparse
import copy
import importlib
import itertools
import os
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from acclimate import backbones, methods
from acclimate.data.inputs import ArrayImageInputs, DenseInputs, Index, Inputs, SparseInputs
from acclimate.recipe import Training
from acclimate.training.fit import fit

BATCH = 64
STEPS = {"cnn": 150, "mlp, dense": 1000, "mlp, sparse rows": 2000}


class BareNet(nn.Module):
    """The bare loop's net: the same layers, nothing of ours."""

    def __init__(self, hidden: nn.Module, head: nn.Module):
        super().__init__()
        self.hidden, self.head = hidden, head

    def forward(self, x: torch.Tensor, sample_weight: object = None) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.hidden(x))
        return logits


class DomainDiscriminator(nn.Module):
    """The domain net that peers are given: features → width → 1, its gradient reversed."""

    def __init__(self, d: int, width: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: torch.Tensor, sample_weight: object = None) -> torch.Tensor:
        if x.requires_grad:
            x.register_hook(lambda grad: -grad)  # type: ignore[no-untyped-call]
        logits: torch.Tensor = self.net(x)
        return logits.squeeze(-1)


class Workload:
    """One kind of input: the same numbers as dense float tensors for the bare loop and in our form for us."""

    def __init__(self, name: str, data: Path, steps: int):
        self.name, self.steps = name, steps
        n = steps * BATCH
        if name == "cnn":
            with np.load(data / "mnist/mnist.npz") as z:
                source, labels = np.resize(z["x_train"], (n, 28, 28)), np.resize(z["y_train"], n)
            with np.load(data / "mnist_m/mnist_m.npz") as z:
                target = np.resize(z["x_test"][:, 2:30, 2:30], (n, 28, 28, 3))
            self.labels, self.classes = labels.astype(np.int64), 10
            self.source: Inputs = ArrayImageInputs(source, 28)
            self.target: Inputs = ArrayImageInputs(target, 28)
            self.shape = backbones.Shape(images=True, size=28, mean=[64.0] * 3, std=[64.0] * 3)
            self.backbone, self.width = "mnist", 100
        else:
            rows = {d: scipy.sparse.load_npz(data / f"amazon_bow/{d}_train.npz") for d in ("books", "dvd")}
            pick = np.resize(np.arange(2000), n)
            csr = {d: scipy.sparse.csr_array(x.astype(bool).astype(np.float32))[pick] for d, x in rows.items()}
            y = np.load(data / "amazon_bow/books_train.npz")["y"]
            self.labels, self.classes = (y[pick] > 0).astype(np.int64), 2
            sparse = name == "mlp, sparse rows"
            wrap: Callable[[Any], Inputs] = SparseInputs if sparse else lambda x: DenseInputs(x.toarray())
            self.source, self.target = wrap(csr["books"]), wrap(csr["dvd"])
            self.shape = backbones.Shape(images=False, n_features=5000, sparse=sparse)
            self.backbone, self.width = "mlp", 100

    def dense(self, inputs: Inputs) -> torch.Tensor:
        x = inputs.batch(np.arange(len(inputs)))
        x = x.to_dense() if x.layout == torch.sparse_csr else x
        return (x.float() / 255).contiguous() if self.backbone == "mnist" else x

    def net(self) -> BareNet:
        torch.manual_seed(0)
        if self.backbone == "mlp":
            return BareNet(nn.Sequential(nn.Linear(5000, 50), nn.ReLU()), nn.Linear(50, 2))
        hidden = nn.Sequential(
            nn.Conv2d(3, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 48, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip
        dense = (nn.Linear(768, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
        return BareNet(hidden, nn.Sequential(*dense))

    def prepare(self) -> None:
        """What the bare loop and the peers read: made once, outside of all timing."""
        self.xs, self.xt = self.dense(self.source), self.dense(self.target)
        self.ys = torch.from_numpy(self.labels)
        self.bare_net = self.net()

    def bare(self) -> None:
        net = copy.deepcopy(self.bare_net)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        n = len(self.xs)
        order = torch.cat([torch.randperm(n), torch.randperm(n)])
        for i in range(0, 2 * n, 2 * BATCH):
            rows = order[i : i + 2 * BATCH]
            loss = cross_entropy(net(self.xs[rows]), self.ys[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()

    def ours(self, method: str, **options: Any) -> None:
        torch.manual_seed(0)
        model = backbones.build(self.backbone, self.shape, self.classes, {}).classifier
        training = Training(steps=self.steps, optimizer="sgd", lr=0.01, schedule="dann")
        fit(
            methods.get(method)(model, **options), (self.source, self.labels), self.target,
            training=training, validation=(FirstRows(self.source, 256), self.labels[:256]),
        )  # fmt: skip

    def skada(self, method: str) -> None:
        from skada.deep import DANN, DeepCoral

        net = copy.deepcopy(self.bare_net)
        same: dict[str, Any] = {
            "layer_name": "hidden",
            "batch_size": BATCH,
            "max_epochs": 1,
            "train_split": None,
            "verbose": 0,
            "optimizer": torch.optim.SGD,
            "optimizer__momentum": 0.9,
            "lr": 0.01,
        }
        d = net.hidden(self.xs[:2]).shape[1]
        if method == "dann":
            discriminator = DomainDiscriminator(d, self.width)
            model = DANN(net, reg=1, domain_classifier=discriminator, domain_criterion=nn.BCEWithLogitsLoss(), **same)
        else:
            model = DeepCoral(net, reg=1, **same)
        n = len(self.xs)
        x = torch.cat([self.xs, self.xt]).numpy()
        y = torch.cat([self.ys, torch.full((n,), -1)]).numpy()
        model.fit(x, y, sample_domain=np.repeat([1, -2], n))


class FirstRows:
    """The first rows of others: a validation split that costs little."""

    in_memory = True

    def __init__(self, inputs: Inputs, n: int):
        self.inputs, self.n = inputs, n

    def __len__(self) -> int:
        return self.n

    def batch(self, index: Index) -> torch.Tensor:
        return self.inputs.batch(index)

    def digest(self) -> str:
        return f"{self.n} of {self.inputs.digest()}"


def measure(work: Workload, repeats: int, *, peers: bool) -> dict[str, list[float]]:
    work.prepare()
    variants: dict[str, Callable[[], None]] = {
        "bare supervised loop": work.bare,
        "bare supervised loop, again": work.bare,
        "acclimate source_only": lambda: work.ours("source_only"),
        "acclimate dann": lambda: work.ours("dann", widths=(work.width,)),
        "acclimate deep_coral": lambda: work.ours("deep_coral"),
    }
    if peers and importlib.util.find_spec("skada") and "sparse" not in work.name:
        variants["skada DANN"] = lambda: work.skada("dann")
        variants["skada DeepCoral"] = lambda: work.skada("coral")
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(work: Workload, seconds: dict[str, list[float]], threads: int) -> str:
    base = seconds["bare supervised loop"]
    title = f"{work.name}, {threads} thread{'s' * (threads > 1)}"
    lines = [f"| {title} | ms per step | ratio (median) | ratio (least, most) |", "|---|---|---|---|"]
    for name, values in seconds.items():
        ratios = [v / b for v, b in zip(values, base, strict=True)]
        ms = 1000 * statistics.median(values) / work.steps
        lines.append(f"| {name} | {ms:.2f} | {statistics.median(ratios):.2f} | {min(ratios):.2f}, {max(ratios):.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist/, mnist_m/, amazon_bow/")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="*", default=[os.cpu_count() or 1, 1])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    os.environ["FORCE_COLOR"] = "1"  # the progress bar is drawn, into nothing
    seen = os.dup(2)
    sys.excepthook = lambda *error: os.write(seen, "".join(traceback.format_exception(*error)).encode())
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    parts = []
    for threads, (name, steps) in itertools.product(args.threads, STEPS.items()):
        torch.set_num_threads(threads)
        work = Workload(name, args.data, steps)
        parts.append(table(work, measure(work, args.repeats, peers=threads == args.threads[0]), threads))
        print(parts[-1], flush=True)
    head = (
        f'# The cost of one training step\n\n`make bench-step_cost ARGS="--data FOLDER"`: {args.repeats} rounds, '
        f"torch {torch.__version__}.\n{__doc__.split(chr(10) * 2)[2].strip()}\n"
    )
    args.out.write_text("\n\n".join([head, *parts]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
