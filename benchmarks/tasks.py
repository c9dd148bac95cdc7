"""Tasks of every kind of data at hand, as vectors with known labels of the target, for the benchmarks of trust.

A family of tasks shares a data set, so that what is fitted on the others has not seen it. Each pair of domains comes
plain and, where it can, in three harder forms: `shares` keeps a quarter of the target's second half of the classes,
`partial` drops that half, and `noise` adds noise to the target's features.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from acclimate import backbones, data
from acclimate.data import Domain, preprocess
from acclimate.data.source import as_domain
from acclimate.nn.cut import Below
from acclimate.runs.models import shape_of
from acclimate.training.features import features

LARGEST = 2000
"""Rows of a domain."""
DIRECTIONS = 256
"""Of word counts, and of features of photographs."""
SITES = ("cleveland", "hungarian", "va")
"""Hospitals with enough of both classes."""
MEDIA = ("product_review", "tweet", "movie_review", "nyt_editorial")
TEXT_PAIRS = (
    ("books", "dvd"), ("dvd", "books"), ("imdb", "books"), ("product_review", "tweet"), ("tweet", "movie_review"),
    ("movie_review", "nyt_editorial"), ("imdb", "tweet"),
)  # fmt: skip
LENGTH = 128
"""Tokens of a text that are read."""
LEAST = 0.5
"""Mean rating of a sentence that counts as an opinion."""

TABLES = ("heart", "wine", "electricity")

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]


class Rows(NamedTuple):
    """Vectors ``(n, d)`` with their classes ``(n,)``."""

    x: Matrix
    y: Codes


class Task(NamedTuple):
    """A source, a target, and what kind of shift lies between them.

    Attributes:
        family: The data set.
        pair: Both domains.
        variant: ``plain``, ``shares``, ``partial`` or ``noise``.
        source: Labelled rows.
        target: Rows whose labels are for scores alone.
    """

    family: str
    pair: str
    variant: str
    source: Rows
    target: Rows

    @property
    def name(self) -> str:
        """Names a row of a table."""
        return f"{self.pair}, {self.variant}"

    @property
    def classes(self) -> int:
        """How many the source has."""
        return int(self.source.y.max()) + 1


def tasks(folder: Path, families: Collection[str] | None = None) -> Iterator[Task]:
    """Every task; texts and photographs pass a frozen network once and are kept in Acclimate's cache.

    Args:
        folder: With a folder for each data set.
        families: Only these; all if None.
    """
    for family, read in FAMILIES.items():
        if families is not None and family not in families:
            continue
        for pair, source, target in read(folder):
            source, target = (_scaled(rows, source, family in TABLES) for rows in (source, target))
            for variant, harder in VARIANTS.items():
                if (found := harder(target, int(source.y.max()) + 1)) is not None:
                    yield Task(family, pair, variant, source, found)


def _scaled(rows: Rows, by: Rows, each: bool) -> Rows:
    """By the source's mean and standard deviation, of each column of a table, of all features together elsewhere."""
    sd = by.x.std(0)
    scale = np.where(sd > 1e-6, sd, 1) if each else np.sqrt((sd**2).mean())
    return Rows(((rows.x - by.x.mean(0)) / scale).clip(-8, 8).astype(np.float32), rows.y)


def _plain(target: Rows, _classes: int) -> Rows | None:
    return target


def _shares(target: Rows, classes: int) -> Rows | None:
    rare = target.y >= (classes + 1) // 2
    kept = ~rare | (np.random.default_rng(1).random(len(rare)) < 0.25)
    return Rows(target.x[kept], target.y[kept])


def _partial(target: Rows, classes: int) -> Rows | None:
    kept = target.y < (classes + 1) // 2
    return Rows(target.x[kept], target.y[kept]) if classes > 3 else None


def _noise(target: Rows, _classes: int) -> Rows | None:
    noise = np.random.default_rng(2).normal(size=target.x.shape) * target.x.std(0)
    return Rows((target.x + noise).astype(np.float32), target.y)


VARIANTS: Mapping[str, Callable[[Rows, int], Rows | None]] = {
    "plain": _plain, "shares": _shares, "partial": _partial, "noise": _noise
}  # fmt: skip

Pairs = Iterator[tuple[str, Rows, Rows]]


def _some(x: Any, y: Any) -> Any:
    """At most so many rows, drawn at random."""
    rows = np.random.default_rng(0).permutation(x.shape[0])[:LARGEST]
    return x[rows], np.asarray(y)[rows].astype(np.int64)


def digits(folder: Path) -> Pairs:
    """Grey images of 16 x 16 pixels."""
    known = {name: _digits(folder, name) for name in ("mnist", "usps", "mnist_m")}
    for one, other in (("mnist", "usps"), ("usps", "mnist"), ("mnist", "mnist_m"), ("mnist_m", "usps")):
        yield f"{one} to {other}", known[one], known[other]


def _digits(folder: Path, name: str) -> Rows:
    part = "train" if name == "mnist" else "test"  # the test images of MNIST-M hold the test digits of MNIST
    with np.load(folder / f"{name}/{name}.npz") as stored:
        x, y = _some(stored[f"x_{part}"], stored[f"y_{part}"])
    grey = [Image.fromarray(image).convert("L").resize((16, 16), Image.Resampling.BILINEAR) for image in x]
    return Rows(np.stack([np.asarray(image, dtype=np.float32).ravel() / 255 for image in grey]), y)


def pacs(folder: Path) -> Pairs:
    """Features of EfficientNet-Lite0 at 160 pixels, in the principal directions of both domains, without labels."""
    known = {name: _photographs(folder, name) for name in ("photo", "art_painting", "cartoon")}
    for one, other in permutations(known, 2):
        (x, y), (x_target, y_target) = known[one], known[other]
        pca = PCA(DIRECTIONS, svd_solver="randomized", random_state=0).fit(np.concatenate([x, x_target]))
        of_both = (pca.transform(part).astype(np.float32) for part in (x, x_target))
        yield f"{one} to {other}", Rows(next(of_both), y), Rows(next(of_both), y_target)


def _photographs(folder: Path, name: str) -> Rows:
    domain = data.load(folder / f"pacs/pacs_{name}_160.zip")
    fitted = preprocess.ImagePreprocess(160, [0.0] * 3, [1.0] * 3, "bicubic")
    below = Below(backbones.build("efficientnet_lite0", shape_of(fitted), 2, {}).classifier)
    return Rows(*_some(features(below, fitted.inputs(domain), name), domain.codes(domain.classes)))


def words(folder: Path) -> Pairs:
    """Counts of 5 000 terms, weighted by tf-idf and reduced to directions of both domains, without labels."""
    known = {name: _counts(folder, name) for name in ("books", "dvd")}
    for one, other in permutations(known, 2):
        (x, y), (x_target, y_target) = known[one], known[other]
        weights = TfidfTransformer(sublinear_tf=True).fit(scipy.sparse.vstack([x, x_target]))
        svd = TruncatedSVD(DIRECTIONS, random_state=0).fit(weights.transform(scipy.sparse.vstack([x, x_target])))
        of_both = (svd.transform(weights.transform(part)).astype(np.float32) for part in (x, x_target))
        yield f"{one} to {other} (words)", Rows(next(of_both), y), Rows(next(of_both), y_target)


def _counts(folder: Path, name: str) -> Any:
    path = folder / f"amazon_bow/{name}_test.npz"
    with np.load(path) as stored:
        y = stored["y"] > 0
    return _some(scipy.sparse.load_npz(path).tocsr(), y)


def sentences(folder: Path) -> Pairs:
    """Features of MiniLM."""
    known: dict[str, Rows] = {}
    for pair in TEXT_PAIRS:
        for name in pair:
            known[name] = known[name] if name in known else _texts(folder, name)
        yield f"{pair[0]} to {pair[1]}", known[pair[0]], known[pair[1]]


def _texts(folder: Path, name: str) -> Rows:
    if name in MEDIA:
        frame = pl.read_csv(folder / "vader_media/vader_media.csv.gz").filter(
            (pl.col("medium") == name) & (pl.col("mean_rating").abs() >= LEAST)
        )
        frame = frame.select("text", label=(pl.col("mean_rating") > 0).cast(pl.Int64))
    elif name == "imdb":
        frame = pl.read_csv(folder / "sentiment_imdb/imdb_subset.csv.gz").filter(pl.col("label") >= 0)
    else:
        frame = pl.read_csv(folder / f"amazon_reviews/{name}.csv.gz")
    text, y = _some(frame["text"].to_numpy(), frame["label"].to_numpy())
    return Rows(_encoded(as_domain(text.tolist(), name=name)), y)


def _encoded(domain: Domain) -> Matrix:
    wants = backbones.input_spec("minilm", "text", {})
    fitted = preprocess.fit(domain, domain, encoder=wants.encoder, length=LENGTH)
    below = Below(backbones.build("minilm", shape_of(fitted), 2, {}).classifier)
    return features(below, fitted.inputs(domain), domain.name)


def heart(folder: Path) -> Pairs:
    """Measurements of patients in three hospitals; a missing one is the median, beside a column that says so."""
    frame = pl.read_csv(folder / "heart_disease_sites/heart_disease_sites.csv.gz", infer_schema_length=None)
    columns = [name for name in frame.columns if name not in {"site", "num"}]
    x = frame.select(pl.col(columns).cast(pl.Float64, strict=False)).to_numpy()
    x = np.column_stack([np.where(np.isnan(x), np.nanmedian(x, 0), x), np.isnan(x)]).astype(np.float32)
    y, site = (frame["num"] > 0).cast(pl.Int64).to_numpy(), frame["site"].to_numpy()
    for one, other in permutations(SITES, 2):
        yield f"{one} to {other}", Rows(x[site == one], y[site == one]), Rows(x[site == other], y[site == other])


def wine(folder: Path) -> Pairs:
    """Chemical measures; whether the quality is 6 or more."""
    frame = pl.read_csv(folder / "wine_quality/wine_quality.csv.gz")
    x = frame.drop("colour", "quality").to_numpy().astype(np.float32)
    y, colour = (frame["quality"] >= 6).cast(pl.Int64).to_numpy(), frame["colour"].to_numpy()
    known = {name: Rows(*_some(x[colour == name], y[colour == name])) for name in ("red", "white")}
    for one, other in permutations(known, 2):
        yield f"{one} to {other}", known[one], known[other]


def electricity(folder: Path) -> Pairs:
    """Half-hours of an early and a later time; whether the price rises."""
    frame = pl.read_csv(folder / "electricity/electricity.csv.gz")
    x, y = frame.drop("class").to_numpy().astype(np.float32), frame["class"].to_numpy().astype(np.int64)
    times = [Rows(*_some(*part)) for part in zip(np.array_split(x, 6), np.array_split(y, 6), strict=True)]
    for one, other in ((0, 2), (2, 5)):
        yield f"time {one + 1} to time {other + 1}", times[one], times[other]


FAMILIES: Mapping[str, Callable[[Path], Pairs]] = {
    "digits": digits, "pacs": pacs, "words": words, "sentences": sentences, "heart": heart, "wine": wine,
    "electricity": electricity,
}  # fmt: skip
