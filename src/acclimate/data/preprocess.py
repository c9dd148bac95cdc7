"""From a domain's examples to what a model eats; fitted on source and unlabelled target, saved with the Run."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from acclimate.data.domain import Domain, Kind
from acclimate.data.images import ArrayImages
from acclimate.data.inputs import ArrayImageInputs, DenseInputs, ImageInputs, Inputs, SparseInputs
from acclimate.errors import BadInput, did_you_mean

SAMPLE = 512
"""Images of each domain that sizes and channel statistics are taken from."""


@dataclass(frozen=True)
class Preprocess:
    """What was learnt from the domains before training; turns any domain of the same kind into `Inputs`."""

    kind: ClassVar[Kind]

    def inputs(self, domain: Domain) -> Inputs:
        """The domain's examples, ready for the model, by index.

        Raises:
            BadInput: The domain is of another kind or shape than those this was fitted on.
        """
        if domain.kind != self.kind:
            raise BadInput(f"{domain.name}: has {domain.kind}, and the source has {self.kind}; give the same kind")
        return self._inputs(domain)

    def _inputs(self, domain: Domain) -> Inputs:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write it below ``folder``, which exists."""
        settings = {"kind": self.kind, **self._settings()}
        (folder / "preprocess.json").write_text(json.dumps(settings, indent=1), "utf-8")

    def _settings(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def _load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        return cls(**settings)


@dataclass(frozen=True)
class ImagePreprocess(Preprocess):
    """Images to uint8 squares ``(n, 3, size, size)``; the model normalises them by ``mean`` and ``std``."""

    kind = "images"
    size: int
    mean: list[float]
    std: list[float]

    def _inputs(self, domain: Domain) -> Inputs:
        if isinstance(domain.examples, ArrayImages):
            return ArrayImageInputs(domain.examples.array, self.size)
        return ImageInputs(domain.examples, self.size)


@dataclass(frozen=True)
class VectorPreprocess(Preprocess):
    """Numbers ``(n, d)``: dense columns are standardised by both domains together, sparse rows stay as they are."""

    kind = "vectors"
    n_features: int
    sparse: bool
    mean: list[float]
    std: list[float]

    def _inputs(self, domain: Domain) -> Inputs:
        x = domain.examples
        if x.shape[1] != self.n_features:
            raise BadInput(f"{domain.name}: has {x.shape[1]} columns, the source has {self.n_features}")
        if self.sparse:
            return SparseInputs(scipy.sparse.csr_array(x))
        x = x.toarray() if scipy.sparse.issparse(x) else x
        return DenseInputs(((x - np.array(self.mean)) / np.array(self.std)).astype(np.float32))


@dataclass(frozen=True)
class TablePreprocess(Preprocess):
    """Columns to numbers: skrub's vectorizer, missing values flagged and filled with the median, then standardised."""

    kind = "table"
    columns: list[str]
    pipeline: Any
    n_features: int

    def _inputs(self, domain: Domain) -> Inputs:
        return DenseInputs(_transform(self.pipeline, self.select(domain), domain.name))

    def select(self, domain: Domain) -> Any:
        """The source's columns of another domain, in the source's order."""
        frame = domain.examples
        if more := [c for c in frame.columns if c not in self.columns]:
            raise BadInput(
                f"{domain.name}: column {more[0]!r} is not in the source; "
                f"{did_you_mean(more[0], self.columns)}; rename it or leave it out with --drop {more[0]}"
            )
        if less := [c for c in self.columns if c not in frame.columns]:
            raise BadInput(f"{domain.name}: lacks the source's column {less[0]!r}; add it or --drop {less[0]}")
        return frame.select(self.columns)

    def save(self, folder: Path) -> None:
        """Write the settings and the fitted pipeline (skops, no pickle)."""
        super().save(folder)
        _dump(self.pipeline, folder / "pipeline.skops")

    def _settings(self) -> dict[str, Any]:
        return {"columns": self.columns, "n_features": self.n_features}

    @classmethod
    def _load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        return cls(pipeline=_undump(folder / "pipeline.skops"), **settings)


@dataclass(frozen=True)
class TextPreprocess(Preprocess):
    """Texts to sparse tf-idf rows: words and pairs of words seen at least twice in source and target together."""

    kind = "text"
    vectorizer: Any
    n_features: int

    def _inputs(self, domain: Domain) -> Inputs:
        rows = scipy.sparse.csr_array(self.vectorizer.transform(domain.examples), dtype=np.float32)
        return SparseInputs(rows)

    def save(self, folder: Path) -> None:
        """Write the settings and the fitted vectorizer (skops, no pickle)."""
        super().save(folder)
        _dump(self.vectorizer, folder / "pipeline.skops")

    def _settings(self) -> dict[str, Any]:
        return {"n_features": self.n_features}

    @classmethod
    def _load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        return cls(vectorizer=_undump(folder / "pipeline.skops"), **settings)


def fit(source: Domain, target: Domain, *, size: int | None = None) -> Preprocess:
    """Learn the preprocessing from the examples of both domains; labels have no part in it.

    Args:
        source: The labelled domain.
        target: The domain to work on.
        size: Pixels a side that images are brought to; by default the source's usual size, at least 16.

    Raises:
        BadInput: The two domains are of different kinds or shapes.
    """
    if source.kind != target.kind:
        raise BadInput(f"{target.name}: has {target.kind}, and the source has {source.kind}; give the same kind")
    if source.kind == "images":
        return _fit_images(source, target, size)
    return {"vectors": _fit_vectors, "table": _fit_table, "text": _fit_text}[source.kind](source, target)


def load(folder: Path) -> Preprocess:
    """The preprocessing saved below ``folder``."""
    settings = json.loads((folder / "preprocess.json").read_text("utf-8"))
    kinds = {c.kind: c for c in (ImagePreprocess, VectorPreprocess, TablePreprocess, TextPreprocess)}
    return kinds[settings.pop("kind")]._load(folder, settings)


def _fit_images(source: Domain, target: Domain, size: int | None) -> Preprocess:
    size = size or _usual_size(source, target)
    sums = []
    for domain in source, target:
        pick = np.linspace(0, len(domain) - 1, min(len(domain), SAMPLE)).astype(np.int64)
        pixels = ImagePreprocess(size, [], []).inputs(domain.take(pick)).batch(np.arange(len(pick)))
        sums.append(pixels.float().transpose(0, 1).flatten(1))
    mean = (sums[0].mean(1) + sums[1].mean(1)) / 2
    variance = sum((s - mean[:, None]).square().mean(1) for s in sums) / 2
    std = np.sqrt(np.asarray(variance)).clip(1.0)
    return ImagePreprocess(size, [round(float(m), 4) for m in mean], [round(float(s), 4) for s in std])


def _usual_size(source: Domain, target: Domain) -> int:
    sizes = Counter(
        min(domain.examples.shape(int(i)))
        for domain in (source, target)
        for i in np.linspace(0, len(domain) - 1, min(len(domain), 32))
    )
    usual = max(size for size, n in sizes.items() if n >= max(sizes.values()) / 2)
    return int(np.clip(usual, 16, 224))


def _fit_vectors(source: Domain, target: Domain) -> Preprocess:
    a, b = source.examples, target.examples
    if a.shape[1] != b.shape[1]:
        raise BadInput(f"{target.name}: has {b.shape[1]} columns, the source has {a.shape[1]}; give the same columns")
    if scipy.sparse.issparse(a) and scipy.sparse.issparse(b):
        return VectorPreprocess(a.shape[1], True, [], [])
    both = np.concatenate([x.toarray() if scipy.sparse.issparse(x) else x for x in (a, b)]).astype(np.float64)
    std = both.std(0)
    std[std < 1e-12] = 1.0
    return VectorPreprocess(a.shape[1], False, both.mean(0).tolist(), std.tolist())


def _fit_table(source: Domain, target: Domain) -> Preprocess:
    import polars as pl
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from skrub import TableVectorizer

    columns = source.examples.columns
    frame = pl.concat([source.examples, TablePreprocess(columns, None, 0).select(target)], how="vertical_relaxed")
    pipeline = make_pipeline(TableVectorizer(), SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    pipeline.fit(frame)
    width = _transform(pipeline, frame.head(1), source.name).shape[1]
    return TablePreprocess(columns, pipeline, width)


def _fit_text(source: Domain, target: Domain) -> Preprocess:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=30_000, sublinear_tf=True, dtype=np.float32)
    try:
        vectorizer.fit([*source.examples, *target.examples])
    except ValueError as error:
        raise BadInput(f"{source.name}: no word occurs twice in its text; is the column the right one?") from error
    return TextPreprocess(vectorizer, len(vectorizer.vocabulary_))


def _transform(pipeline: Any, frame: Any, name: str) -> NDArray[np.float32]:
    try:
        return np.asarray(pipeline.transform(frame), dtype=np.float32)
    except (ValueError, TypeError) as error:
        why = (str(error).splitlines() or [""])[0]
        raise BadInput(f"{name}: its columns do not fit the source's ({why}); make their types alike") from error


def _dump(fitted: Any, path: Path) -> None:
    import skops.io

    path.write_bytes(skops.io.dumps(fitted))


def _undump(path: Path) -> Any:
    import skops.io

    data = path.read_bytes()
    ours = ("sklearn.", "skrub.", "numpy.", "polars.")
    unknown = skops.io.get_untrusted_types(data=data)
    if strange := [t for t in unknown if not t.startswith(ours)]:
        raise BadInput(f"{path}: holds the type {strange[0]}, which no Run of ours has; it is refused")
    return skops.io.loads(data, trusted=unknown)
