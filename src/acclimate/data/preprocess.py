"""From a domain's examples to what a model eats; fitted on source and unlabelled target, saved with the Run."""

import json
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from acclimate.data import skops_files, tokens
from acclimate.data.domain import Domain, Kind, parted
from acclimate.data.images import ArrayImages
from acclimate.data.inputs import (
    ArrayImageInputs,
    DenseInputs,
    ImageInputs,
    Inputs,
    Interpolation,
    PackedInputs,
    SparseInputs,
    TokenInputs,
    rows_of,
)
from acclimate.errors import BadInput, first_line

if TYPE_CHECKING:
    from acclimate.data import tables

SAMPLE = 512
"""Images of each domain that channel statistics are taken from."""
SIZED = 32
"""Images of each domain that the size is taken from."""
CACHE_BYTES = 2**30
"""Decoded images that are kept, where nothing else is said."""
TEXT_TYPES = skops_files.Types(
    frozenset({"sklearn.feature_extraction.text.TfidfTransformer", "sklearn.feature_extraction.text.TfidfVectorizer"})
)
"""What a fitted text vectorizer contains."""
TABLE_TYPES = skops_files.Types(
    objects=TEXT_TYPES.objects
    | {
        "polars.datatypes.classes.Datetime",
        "sklearn.decomposition._truncated_svd.TruncatedSVD",
        "sklearn.impute._base.MissingIndicator",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "skrub._apply_to_each_col.ApplyToEachCol",
        "skrub._check_input.CheckInputDataFrame",
        "skrub._clean_categories.CleanCategories",
        "skrub._clean_null_strings.CleanNullStrings",
        "skrub._datetime_encoder.DatetimeEncoder",
        "skrub._drop_uninformative.DropUninformative",
        "skrub._duration_to_float.DurationToFloat",
        "skrub._string_encoder.StringEncoder",
        "skrub._table_vectorizer.PassThrough",
        "skrub._table_vectorizer.ShortReprDict",
        "skrub._table_vectorizer.TableVectorizer",
        "skrub._to_datetime.ToDatetime",
        "skrub._to_float.ToFloat",
        "skrub._to_str.ToStr",
        "skrub.selectors._base.All",
        "skrub.selectors._base.And",
        "skrub.selectors._base.Cols",
        "skrub.selectors._base.Filter",
        "skrub.selectors._base.Sub",
    },
    functions=frozenset(
        {
            "skrub._dataframe._common.is_any_date",
            "skrub._dataframe._common.is_categorical",
            "skrub._dataframe._common.is_numeric",
            "skrub._table_vectorizer._created_by_predicate",
            "skrub.selectors._selectors._cardinality_below",
        }
    ),
)
"""What a fitted table pipeline contains, under the names of skrub 0.8 to 0.11."""


@dataclass(frozen=True)
class Preprocess:
    """What was learnt from the domains before training; turns any domain of the same kind into `Inputs`."""

    kind: ClassVar[Kind]
    form: ClassVar[str] = ""
    """What it is saved as, if that is not the kind."""

    def inputs(self, domain: Domain, *, cache_bytes: int = CACHE_BYTES) -> Inputs:
        """The domain's examples, ready for the model, by index.

        Args:
            domain: The examples.
            cache_bytes: How much of images that are read from files may be kept in memory.

        Raises:
            BadInput: The domain is of another kind or shape than those this was fitted on.
        """
        if domain.kind != self.kind:
            raise BadInput(f"{domain.name}: has {domain.kind}, and the source has {self.kind}; give the same kind")
        return self._inputs(domain, cache_bytes)

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Write it below ``folder``, which exists."""
        settings = {"kind": self.form or self.kind, **self._settings()}
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
    interpolation: Interpolation = "bilinear"

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        how: Any = {"interpolation": self.interpolation, "cache_bytes": cache_bytes}
        if isinstance(domain.examples, ArrayImages):
            return ArrayImageInputs(domain.examples.array, self.size, **how)
        return ImageInputs(domain.examples, self.size, **how)


@dataclass(frozen=True)
class VectorPreprocess(Preprocess):
    """Numbers ``(n, d)``: dense columns are standardised by both domains together, sparse rows stay as they are."""

    kind = "vectors"
    n_features: int
    sparse: bool
    mean: list[float]
    std: list[float]

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        x = domain.examples
        if x.shape[1] != self.n_features:
            raise BadInput(
                f"{domain.name}: has {x.shape[1]} columns, the source has {self.n_features}; give the same columns"
            )
        if self.sparse:
            return SparseInputs(scipy.sparse.csr_array(x))
        x = x.toarray() if scipy.sparse.issparse(x) else x
        return DenseInputs(((x - np.array(self.mean)) / np.array(self.std)).astype(np.float32))


@dataclass(frozen=True)
class TablePreprocess(Preprocess):
    """Columns to numbers: skrub's vectorizer, missing values flagged and filled with the median, then standardised."""

    kind = "table"
    columns: dict[str, "tables.Holds"]
    pipeline: Any
    n_features: int

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        from acclimate.data import tables

        frame = tables.as_learnt(domain, self.columns)
        try:
            return DenseInputs(_transform(self.pipeline, frame))
        except (ValueError, TypeError) as error:
            why = first_line(error)
            raise BadInput(f"{domain.name}: its columns do not fit the source's ({why}); write them alike") from error

    def save(self, folder: Path) -> None:
        """Write the settings and the fitted pipeline (skops, no pickle)."""
        super().save(folder)
        # skrub's steps repeat the names of all columns: 9 MB for 13 columns, a fortieth of that compressed
        skops_files.dump(self.pipeline, folder / "pipeline.skops", TABLE_TYPES, compress=True)

    def _settings(self) -> dict[str, Any]:
        return {"columns": self.columns, "n_features": self.n_features}

    @classmethod
    def _load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        return cls(pipeline=skops_files.load(folder / "pipeline.skops", TABLE_TYPES), **settings)


@dataclass(frozen=True)
class TextPreprocess(Preprocess):
    """Texts to sparse tf-idf rows: words and pairs of words seen at least twice in source and target together."""

    kind = "text"
    vectorizer: Any
    n_features: int

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        rows = scipy.sparse.csr_array(self.vectorizer.transform(domain.examples), dtype=np.float32)
        return SparseInputs(rows)

    def save(self, folder: Path) -> None:
        """Write the settings and the fitted vectorizer (skops, no pickle)."""
        super().save(folder)
        skops_files.dump(self.vectorizer, folder / "pipeline.skops", TEXT_TYPES, compress=True)

    def _settings(self) -> dict[str, Any]:
        return {"n_features": self.n_features}

    @classmethod
    def _load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        return cls(vectorizer=skops_files.load(folder / "pipeline.skops", TEXT_TYPES), **settings)


@dataclass(frozen=True)
class TokenPreprocess(Preprocess):
    """Texts to tokens ``(n, length)`` of an encoder, whose files but for the weights lie in ``folder``."""

    kind = "text"
    form = "tokens"
    folder: Path
    length: int

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        rows = self._tokenizer(domain.examples, self.length)
        more = self.length - rows.shape[1]
        return TokenInputs(np.pad(rows, ((0, 0), (0, more)), constant_values=tokens.NONE))

    @cached_property
    def _tokenizer(self) -> tokens.Tokenizer:
        return tokens.Tokenizer(self.folder)

    def save(self, folder: Path) -> None:
        """Write the settings and the encoder's files, so that the Run needs its folder no more."""
        super().save(folder)
        tokens.keep_files(self.folder, folder / "encoder")

    def _settings(self) -> dict[str, Any]:
        return {"length": self.length}

    @classmethod
    def _load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        return cls(folder=folder / "encoder", **settings)


@dataclass(frozen=True)
class ImageTextPreprocess(Preprocess):
    """Images and texts, each as alone, packed into one row for each example."""

    kind = "image and text"
    images: Preprocess
    texts: Preprocess

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        images, texts = parted(domain)
        return PackedInputs(self.images.inputs(images, cache_bytes=cache_bytes), self.texts.inputs(texts))

    def save(self, folder: Path) -> None:
        """Write both, each into a folder of its own."""
        super().save(folder)
        for name, part in (("images", self.images), ("texts", self.texts)):
            (folder / name).mkdir()
            part.save(folder / name)

    def _settings(self) -> dict[str, Any]:
        return {}

    @classmethod
    def _load(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        return cls(load(folder / "images"), load(folder / "texts"))


def fit(
    source: Domain,
    target: Domain,
    *,
    size: int | None = None,
    interpolation: Interpolation = "bilinear",
    encoder: Path | None = None,
    length: int | None = None,
) -> Preprocess:
    """Learn the preprocessing from the examples of both domains; labels have no part in it.

    Args:
        source: The labelled domain.
        target: The domain to work on.
        size: Pixels a side that images are brought to; by default the usual size in both domains, 16 to 224.
        interpolation: How they are brought to it.
        encoder: Folder of the encoder that texts are made tokens for; without it they become tf-idf rows.
        length: Tokens of a text at the most; by default what the encoder was trained with.

    Raises:
        BadInput: The two domains are of different kinds or shapes.
    """
    check_kinds(source, target)
    if source.kind == "image and text":
        how: Any = {"size": size, "interpolation": interpolation, "encoder": encoder, "length": length}
        images, texts = (fit(*both, **how) for both in zip(parted(source), parted(target), strict=True))
        return ImageTextPreprocess(images, texts)
    if source.kind == "images":
        return _fit_images(source, target, size, interpolation)
    if encoder:
        return _fit_tokens(source, target, encoder, length)
    return {"vectors": _fit_vectors, "table": _fit_table, "text": _fit_text}[source.kind](source, target)


def load(folder: Path) -> Preprocess:
    """The preprocessing saved below ``folder``.

    Raises:
        BadInput: It is damaged, or holds what no Run has.
    """
    kinds = {c.form or c.kind: c for c in FORMS}
    try:
        settings = json.loads((folder / "preprocess.json").read_text("utf-8"))
        return kinds[settings.pop("kind")]._load(folder, settings)
    except BadInput:
        raise
    except Exception as error:  # each way of damage fails in its own way
        raise BadInput(f"{folder}: not the preprocessing of a Run ({first_line(error)}); was it changed?") from error


def check_kinds(source: Domain, target: Domain) -> None:
    """Refuse domains of different kinds.

    Raises:
        BadInput: They are.
    """
    if source.kind != target.kind:
        raise BadInput(f"{target.name}: has {target.kind}, and the source has {source.kind}; give the same kind")


def _fit_images(source: Domain, target: Domain, size: int | None, interpolation: Interpolation) -> Preprocess:
    size = size or usual_size(source, target)
    moments = (_moments(source, size) + _moments(target, size)) / 2
    std = np.sqrt(moments[1] - moments[0] ** 2).clip(1.0)
    return ImagePreprocess(size, moments[0].round(4).tolist(), std.round(4).tolist(), interpolation)


def _moments(domain: Domain, size: int) -> NDArray[np.float64]:
    """Mean and mean square of each channel ``(2, 3)`` over some of the domain's images."""
    pick = np.linspace(0, len(domain) - 1, min(len(domain), SAMPLE)).astype(np.int64)
    inputs = ImagePreprocess(size, [], []).inputs(domain.take(pick), cache_bytes=0)
    sums = np.zeros((2, 3))
    for rows in rows_of(inputs, 32):
        pixels = inputs.batch(rows).numpy().astype(np.float64)
        sums += [pixels.mean((2, 3)).sum(0), (pixels**2).mean((2, 3)).sum(0)]
    return sums / len(pick)


def usual_size(source: Domain, target: Domain) -> int:
    """The shorter side of most images, 16 to 224; of several sizes about as frequent the largest."""
    sizes = Counter(
        min(domain.examples.shape(int(i)))
        for domain in (source, target)
        for i in np.linspace(0, len(domain) - 1, min(len(domain), SIZED))
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
    from acclimate.data import tables

    columns = tables.common_columns(source, target)
    frames = [tables.as_learnt(domain, columns) for domain in (source, target)]
    import polars as pl  # what is slow to import comes behind the checks
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from skrub import StringEncoder, TableVectorizer

    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    vectorizer = TableVectorizer(high_cardinality=StringEncoder(random_state=0))  # else each fit draws its own
    pipeline = make_pipeline(vectorizer, imputer, StandardScaler())
    try:
        rows = np.asarray(pipeline.fit_transform(pl.concat(frames)))
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"{source.name}: its columns cannot be learnt from together with those of {target.name} "
            f"({first_line(error)}); leave the odd ones out with --drop"
        ) from error
    return TablePreprocess(columns, pipeline, rows.shape[1])


def _fit_text(source: Domain, target: Domain) -> Preprocess:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=30_000, sublinear_tf=True, dtype=np.float32)
    try:
        vectorizer.fit([*source.examples, *target.examples])
    except ValueError as error:
        raise BadInput(f"{source.name}: no word occurs twice in its text; is the column the right one?") from error
    return TextPreprocess(vectorizer, len(vectorizer.vocabulary_))


def _fit_tokens(source: Domain, target: Domain, folder: Path, length: int | None) -> Preprocess:
    tokenizer = tokens.Tokenizer(folder)
    most = min(length or tokenizer.longest, tokenizer.longest)
    longest = max(tokenizer(domain.examples, most).shape[1] for domain in (source, target))
    return TokenPreprocess(folder, longest)


FORMS: tuple[type[Preprocess], ...] = (
    ImagePreprocess,
    VectorPreprocess,
    TablePreprocess,
    TextPreprocess,
    TokenPreprocess,
    ImageTextPreprocess,
)


def _transform(pipeline: Any, frame: Any) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a category that was never seen is all zeros, as it should be
        return np.asarray(pipeline.transform(frame), dtype=np.float32)
