"""Labels that a target happens to have leave no trace: garbled ones give bit-identical weights and outputs.

Garbled means: other classes for the same examples, in every form of a domain.
"""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas
import polars as pl
import pytest
import samples
from samples import shifted

import acclimate
from acclimate.data.source import Source

N = 24
RIGHT = ["cat", "dog"] * (N // 2)
GARBLED = [str(c) for c in np.random.default_rng(5).choice(["ant", "cat", "dog", "zebra"], N)]
X, Y = shifted(N)


def _pictures(folder: Path, labels: Sequence[str]) -> Path:
    for i, label in enumerate(labels):
        (folder / label).mkdir(parents=True, exist_ok=True)
        samples.picture(i).save(folder / label / f"{i}.png")
    return folder


def _zipped(folder: Path, labels: Sequence[str]) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for file in sorted(_pictures(folder, labels).rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    return folder.with_suffix(".zip")


def _listed(folder: Path, labels: Sequence[str]) -> Path:
    _pictures(folder, [""] * N)
    pl.DataFrame({"photo": [f"{i}.png" for i in range(N)], "mood": labels}).write_csv(folder / "items.csv")
    return folder / "items.csv"


def _table(folder: Path, labels: Sequence[str]) -> pl.DataFrame:
    return samples.rows(N).with_columns(mood=pl.Series(labels))


def _texts(folder: Path, labels: Sequence[str]) -> pl.DataFrame:
    texts = [f"the {'good' if i % 2 else 'bad'} book {i % 5}" for i in range(N)]
    return pl.DataFrame({"text": texts, "mood": labels})


def _csv(folder: Path, labels: Sequence[str]) -> Path:
    _table(folder, labels).write_csv(folder.with_suffix(".csv"))
    return folder.with_suffix(".csv")


def _npz(folder: Path, labels: Sequence[str], x: np.ndarray = X) -> Path:
    np.savez(folder.with_suffix(".npz"), x=x, y=np.array(labels))
    return folder.with_suffix(".npz")


def _image_array(folder: Path, labels: Sequence[str]) -> Path:
    return _npz(folder, labels, np.stack([np.asarray(samples.picture(i)) for i in range(N)]))


FORMS: dict[str, tuple[Callable[[Path, Sequence[str]], Source], dict[str, str]]] = {
    "folders": (_pictures, {}),
    "zip": (_zipped, {}),
    "table of images": (_listed, {"label": "mood", "image": "photo"}),
    "csv": (_csv, {"label": "mood"}),
    "polars": (_table, {"label": "mood"}),
    "pandas": (lambda *at: pandas.DataFrame(_table(*at).to_dict(as_series=False)), {"label": "mood"}),
    "texts": (_texts, {"label": "mood", "text": "text"}),
    "npz": (_npz, {}),
    "npz of images": (_image_array, {}),
    "arrays": (lambda _, labels: (X, labels), {}),
    "pairs": (lambda _, labels: list(zip(X, labels, strict=True)), {}),
}


QUICK = ("folders", "arrays")


@pytest.mark.parametrize("form", [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in FORMS])
def test_garbled_labels_of_the_target_change_no_bit(tmp_path, form):
    write, columns = FORMS[form]
    source, found = write(tmp_path / "source", RIGHT), []
    for name, labels in (("right", RIGHT), ("garbled", GARBLED)):
        target = write(tmp_path / name, labels)
        run = acclimate.adapt(source, target, tmp_path / f"run-{name}", method="dann", steps=2, **columns)
        outputs = pl.read_parquet(run.outputs(0, "adapted", "target")).drop("name")
        found.append((run.weights(0, "adapted").read_bytes(), outputs.to_dict(as_series=False)))
    assert found[0] == found[1]
