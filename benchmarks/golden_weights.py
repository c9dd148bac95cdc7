"""Are trained weights and outputs still the same to the bit? Run it before and after a change, on one machine.

    python benchmarks/golden_weights.py --write before.json
    python benchmarks/golden_weights.py --compare before.json

It trains a fixed list of runs on small made data and hashes every model and every array of outputs. Hashes of two
machines differ, since kernels round differently; so none are kept in the repository.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

import acclimate

METHODS = (
    "source_only", "dann", "cdan", "adda", "deep_coral", "dan", "jan", "deepjdot", "mcc", "bnm", "mcd", "mdd", "afn",
    "self_training", "mean_teacher", "vada", "shot", "nrc",
)  # fmt: skip
SHALLOW = (
    "coral", "linear_ot", "subspace_alignment", "tca", "msda", "importance_weighting", "kernel_mean_matching"
)  # fmt: skip
STRATEGIES = ("feature_extraction", "partial", "lora", "llrd", "gradual", "lp_ft", "full", "auto")
SETTINGS: dict[str, dict[str, Any]] = {
    "accumulated": {"train.accumulate": 3, "train.batch_size": 16},
    "balanced": {"train.balance": "sampler"},
    "early stop": {"train.patience": 1, "train.validate_every": 2},
    "adamw": {"train.optimizer": "adamw", "train.schedule": "cosine", "train.weight_decay": 0.01},
    "bottleneck": {"backbone.bottleneck": 8},
}


def vectors(seed: int, shift: float) -> tuple[Any, Any]:
    """Three classes apart along one axis; a shift along the other."""
    rng = np.random.default_rng(seed)
    y = np.arange(150) % 3
    x = rng.normal(size=(150, 6)).astype(np.float32)
    x[:, 0] += 3 * y
    x[:, 1] += shift
    return x, y


def images(seed: int, size: int = 20, n: int = 48) -> tuple[Any, Any]:
    """Dark and bright noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return (rng.integers(0, 128, (n, size, size, 3)) + 100 * y[:, None, None, None]).astype(np.uint8), y


def table(path: Path, seed: int) -> Path:
    """Numbers, categories, a date, missing values, a text, a price and a class."""
    rng = np.random.default_rng(seed)
    area, town = rng.normal(100 + 10 * seed, 20, 80), rng.choice(["Graz", "Linz", "Wels"], 80)
    words = [" ".join(rng.choice(["good", "bad", "old", "new", "house", "flat"], 5)) for _ in range(80)]
    missing = [None if i % 7 == 0 else float(a) for i, a in enumerate(area)]
    price = (2.5 * area + rng.normal(0, 4, 80)).round(2)
    sold = ["yes" if p > 250 else "no" for p in price]
    columns = {"area": missing, "town": town, "words": words, "price": price, "sold": sold}
    pl.DataFrame(columns).write_csv(path)
    return path


def photos(folder: Path, seed: int) -> Path:
    """Folders of pictures larger than 64 pixels."""
    x, y = images(seed, 72, 24)
    for i, (pixels, label) in enumerate(zip(x, y, strict=True)):
        place = folder / f"class {label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i}.png")
    return folder


def runs(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each run's name and the arguments of `acclimate.adapt`."""
    source, target = vectors(0, 0.0), vectors(1, 1.5)
    on_vectors = {"source": source, "target": target[0], "score": target, "steps": 12}
    for method in (*METHODS, *SHALLOW):
        steps = {} if method in SHALLOW else {"steps": 12}
        yield f"vectors {method}", {**on_vectors, "method": method, "seeds": 2, "steps": None, **steps}
    for name, settings in SETTINGS.items():
        yield f"vectors {name}", {**on_vectors, "method": "dann", "settings": settings}
    yield "vectors supervised", {**on_vectors, "method": "supervised", "target_labels": vectors(2, 1.5)}
    yield "vectors with labels", {**on_vectors, "method": "mcc", "target_labels": vectors(2, 1.5)}
    yield "vectors of two processes", {**on_vectors, "method": "dann", "devices": 2}
    on_images = {"source": images(0), "target": images(1)[0], "steps": 6}
    for method in ("dann", "mcd", "self_training", "mean_teacher", "vada", "shot"):
        yield f"images {method}", {**on_images, "method": method}
    for norm in ("domain", "concat"):
        settings = {"backbone.norm": True, "train.batch_norm": norm}
        yield f"images norm {norm}", {**on_images, "method": "dann", "backbone": "mnist", "settings": settings}
    yield "images augmented", {**on_images, "method": "mcc", "augment": "flip_crop"}
    for name in ("byol", "vicreg"):
        yield f"images after {name}", {**on_images, "method": "mcc", "pretrain": name, "settings": {"train.lr": 0.01}}
    yield "images with views", {**on_images, "method": "source_only", "score": images(1), "tta": ("hflip",)}
    tables = {"source": table(folder / "source.csv", 0), "target": table(folder / "target.csv", 1), "steps": 6}
    yield "table", {**tables, "label": "sold", "drop": ("price",), "method": "dann"}
    yield "table regression", {**tables, "label": "price", "drop": ("sold",), "method": "deep_coral"}
    yield "table ridge", {**tables, "label": "price", "drop": ("sold",), "method": "coral", "steps": None}
    yield "text", {**tables, "label": "sold", "text": "words", "method": "cdan"}
    yield "text linear", {**tables, "label": "sold", "text": "words", "method": "msda", "steps": None}
    pictures = {"source": photos(folder / "photos", 0), "target": photos(folder / "others", 1), "steps": 3}
    for strategy in STRATEGIES:
        settings = {"train.batch_size": 8, "train.lr": 0.001}
        given = {**pictures, "method": "mcc", "finetune": strategy, "image_size": 32, "settings": settings}
        yield f"photos {strategy}", given


def digests(run: acclimate.Run) -> dict[str, str]:
    """A hash for each model and each array of outputs; not of files whose bytes hold object ids or times."""
    found = {}
    for path in sorted(run.file("models").iterdir()):
        if path.suffix == ".safetensors":
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(run.file("outputs").glob("*-*-*.parquet")):
        frame = pl.read_parquet(path)
        columns = [c for c in ("probabilities", "predicted", "features") if c in frame.columns]
        found[path.name] = hashlib.sha256(repr(frame.select(columns).to_dict(as_series=False)).encode()).hexdigest()
    return found


def main() -> None:
    """Train all, then write the hashes or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as place:
        for i, (name, given) in enumerate(runs(Path(place))):
            if args.only in name:
                found[name] = digests(acclimate.adapt(output=Path(place) / f"run{i}", **given))
                sys.stderr.write(f"{name}: {len(found[name])} hashes\n")
    if args.write:
        args.write.write_text(json.dumps(found, indent=1))
    if args.compare:
        before = json.loads(args.compare.read_text())
        differing = [name for name in found if found[name] != before.get(name)]
        print(f"{len(found)} runs, {len(differing)} differ: {', '.join(differing) or 'none'}")
        sys.exit(bool(differing))


if __name__ == "__main__":
    main()
