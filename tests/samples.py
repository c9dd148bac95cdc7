"""Small inputs of each form, written in a moment."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

CLASSES = ("cat", "dog")


def picture(seed: int = 0, size: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.uint8))


def encoder(folder: Path) -> Path:
    """A BERT of two layers that knows a dozen words, as transformers saves it."""
    import torch
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "book", "film", "a", "the", "!"]
    config = transformers.BertConfig(
        vocab_size=12, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=20,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder)
    return folder


def reviews(path: Path, *, n: int = 24, thing: str = "book") -> Path:
    """Texts of up to five words that say ``good`` or ``bad``."""
    said = ["good" if i % 2 else "bad" for i in range(n)]
    texts = [f"{'the ' * (i % 3)}{word} {thing}" for i, word in enumerate(said)]
    pl.DataFrame({"text": texts, "mood": said}).write_csv(path)
    return path


def images(folder: Path, classes: Sequence[str] = CLASSES, *, each: int = 3, size: int = 16, seed: int = 0) -> Path:
    """``each`` pictures below ``folder`` for each class; loose ones for the class ``""``; others with another seed."""
    for j, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            picture(1000 * seed + 100 * j + i, size).save(folder / name / f"{i}.png")
    return folder


def catalogue(folder: Path, *, n: int = 12, thing: str = "book", size: int = 16, seed: int = 0) -> Path:
    """A table of pictures that are dark or bright, each with a text that says ``bad`` or ``good``, and their mood."""
    (folder / "photos").mkdir(parents=True)
    said = ["good" if i % 2 else "bad" for i in range(n)]
    for i, mood in enumerate(said):
        pixels = np.asarray(picture(1000 * seed + i, size)) // 2 + (128 if mood == "good" else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / f"{i}.png")
    texts = [f"{'the ' * (i % 3)}{word} {thing}" for i, word in enumerate(said)]
    columns = {"photo": [f"photos/{i}.png" for i in range(n)], "text": texts, "mood": said}
    pl.DataFrame(columns).write_csv(folder / "items.csv")
    return folder / "items.csv"


def arrays(path: Path, *, n: int = 24, d: int = 4, seed: int = 0, **more: object) -> Path:
    """Vectors of two classes that lie apart; ``more`` replaces or adds arrays."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, d)) + 3 * y[:, None]
    np.savez(path, **{"x": x.astype(np.float32), "y": y, **more})
    return path


def prices(path: Path, *, n: int = 60, shift: float = 0.0, seed: int = 0) -> Path:
    """Rows with a price that follows from area and age; ``shift`` moves the areas."""
    rng = np.random.default_rng(seed)
    area, age = rng.normal(100 + 30 * shift, 20, n), rng.uniform(0, 40, n)
    price = 2.5 * area - 1.5 * age + rng.normal(0, 4, n)
    town = np.where(rng.random(n) < 0.5, "Graz", "Linz")
    pl.DataFrame({"area": area, "age": age, "town": town, "price": price}).write_csv(path)
    return path


def rows(n: int = 12) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "age": [20.0 + 3 * i for i in range(n)],
            "town": ["Graz" if i % 3 else "Linz" for i in range(n)],
            "sick": ["yes" if i % 2 else "no" for i in range(n)],
        }
    )


def table(path: Path, **columns: Sequence[object]) -> Path:
    """Twelve rows; ``columns`` replaces or adds some."""
    rows().with_columns(**{name: pl.Series(values) for name, values in columns.items()}).write_csv(path)
    return path


def shifted(n=200, shift=0.0, seed=0):
    """Two classes along one axis; a shift along the other, which says nothing of the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, 4)).astype(np.float32)
    x[:, 0] += 4 * y
    x[:, 1] += shift
    return x, y


def skops_node(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """A part of a skops file as anybody can write it by hand."""
    module, _, own = name.rpartition(".")
    return {"__loader__": kind, "__module__": module, "__class__": own, **more}


def skops_file(path: Path, node: dict[str, Any]) -> Path:
    """A skops file of that node."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("schema.json", json.dumps({**node, "protocol": 2}))
    return path
