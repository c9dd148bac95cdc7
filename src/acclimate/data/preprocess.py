"""From a domain's examples to model inputs; fitted on the source and the unlabelled target, saved with the Run."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NotRequired, Protocol, Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from acclimate import typed_json
from acclimate.data import skops_files, tokens
from acclimate.data.domain import Domain, Kind, Vectors, parted
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
from acclimate.errors import BadInput, explain_damage, first_line

if TYPE_CHECKING:
    import polars as pl
    from skrub import TableVectorizer

    from acclimate.data import tables

SAMPLE = 512
"""Images of each domain from which channel statistics are computed."""
SIZED = 32
"""Images of each domain from which the size is chosen."""
CACHE_BYTES = 2**30
"""Default size of the cache of decoded images."""
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
Settings = dict[str, Any]
"""What ``preprocess.json`` contains."""
Width = Annotated[int, Field(ge=1, le=2**24)]
"""Features of an example."""
Positive = Annotated[float, Field(gt=0)]


class _OfImages(TypedDict):
    """``preprocess.json`` of images."""

    size: Annotated[int, Field(ge=8, le=4096)]
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    interpolation: NotRequired[Interpolation]


class _OfVectors(TypedDict):
    """``preprocess.json`` of vectors."""

    n_features: Width
    sparse: bool
    mean: list[float]
    std: list[Positive]


class _OfTables(TypedDict):
    """``preprocess.json`` of tables."""

    columns: dict[str, Literal["numbers", "dates", "text", "nothing"]]
    n_features: Width
    order: NotRequired[list[Annotated[int, Field(ge=0)]]]


class _OfTexts(TypedDict):
    """``preprocess.json`` of texts as tf-idf rows."""

    n_features: Width


class _OfTokens(TypedDict):
    """``preprocess.json`` of texts as tokens."""

    length: Annotated[int, Field(ge=1, le=2**16)]


class _OfBoth(TypedDict):
    """``preprocess.json`` of images with texts."""


class Transformer(Protocol):
    """What scikit-learn or skrub fitted."""

    def transform(self, examples: object, /) -> object:
        """Return rows of numbers, dense or sparse."""


@dataclass(frozen=True)
class Preprocess:
    """What is fitted on both domains before training; turns any domain of the same kind into `Inputs`."""

    kind: ClassVar[Kind]
    form: ClassVar[str] = ""
    """What ``preprocess.json`` calls it, if not by its kind."""
    described: ClassVar[type]
    """What ``preprocess.json`` contains besides."""

    def inputs(self, domain: Domain, *, cache_bytes: int = CACHE_BYTES) -> Inputs:
        """Return the domain's examples as model inputs.

        Args:
            domain: The examples.
            cache_bytes: Memory for decoded images that are read from files.

        Raises:
            BadInput: The domain's kind or shape differs from what this was fitted on.
        """
        if domain.kind != self.kind:
            raise _kinds_differ(domain, self.kind)
        return self._inputs(domain, cache_bytes)

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """Save it in ``folder``, which must exist."""
        settings = {"kind": self.form or self.kind, **self._settings()}
        (folder / "preprocess.json").write_text(json.dumps(settings, indent=1), "utf-8")

    def _settings(self) -> Settings:
        return dict(vars(self))

    @classmethod
    def _load(cls, folder: Path, settings: Settings) -> Self:
        return cls(**settings)


@dataclass(frozen=True)
class ImagePreprocess(Preprocess):
    """Images to uint8 squares ``(n, 3, size, size)``, which the model normalises with ``mean`` and ``std``."""

    kind = "images"
    described = _OfImages
    size: int
    mean: list[float]
    std: list[float]
    interpolation: Interpolation = "bilinear"

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        images = domain.images
        if isinstance(images, ArrayImages):
            return ArrayImageInputs(images.array, self.size, interpolation=self.interpolation, cache_bytes=cache_bytes)
        return ImageInputs(images, self.size, interpolation=self.interpolation, cache_bytes=cache_bytes)


@dataclass(frozen=True)
class VectorPreprocess(Preprocess):
    """Numbers ``(n, d)``: dense columns are standardised over both domains together, sparse rows stay as they are."""

    kind = "vectors"
    described = _OfVectors
    n_features: int
    sparse: bool
    mean: list[float]
    std: list[float]

    @classmethod
    def _load(cls, folder: Path, settings: Settings) -> Self:
        loaded = cls(**settings)
        if {len(loaded.mean), len(loaded.std)} != {0 if loaded.sparse else loaded.n_features}:
            raise ValueError("preprocess.json: a mean and a standard deviation are needed for each feature")
        return loaded

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        x = domain.vectors
        if x.shape[1] != self.n_features:
            raise BadInput(
                f"{domain.name}: has {x.shape[1]} columns, the source has {self.n_features}; give the same columns"
            )
        if self.sparse:
            return SparseInputs(scipy.sparse.csr_array(x))
        with np.errstate(over="ignore", invalid="ignore"):
            rows = ((_dense(x) - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        return DenseInputs(_checked(rows, len(domain), self.n_features))


@dataclass(frozen=True)
class TablePreprocess(Preprocess):
    """Columns to numbers; missing values flagged and filled with the median, then standardised.

    Columns of numbers pass as one block, since skrub takes milliseconds and a megabyte for each; its vectorizer encodes
    the others. Runs of earlier versions have one pipeline for all columns, and no ``order``.

    Attributes:
        columns: What each column contains.
        pipeline: Fills and standardises the columns, or does all.
        n_features: What comes out.
        order: For each column that is filled, its place among the columns of numbers followed by the encoded ones.
        vectorizer: Encodes the columns that are not numbers, if there are any.
    """

    kind = "table"
    described = _OfTables
    columns: dict[str, "tables.ColumnKind"]
    pipeline: Transformer
    n_features: int
    order: list[int] | None = None
    vectorizer: Transformer | None = None

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        from acclimate.data import tables

        frame = tables.as_fitted(domain, self.columns)
        try:
            with _explain_changes(ValueError, TypeError):
                rows = frame if self.order is None else _in_order(frame, self.columns, self.vectorizer, self.order)
                numbers = _transform(self.pipeline, rows)
        except (ValueError, TypeError) as error:
            why = first_line(error)
            raise BadInput(
                f"{domain.name}: the columns do not match the source's ({why}); write them the same way in both"
            ) from error
        return DenseInputs(_checked(numbers, len(domain), self.n_features))

    def save(self, folder: Path) -> None:
        """Save the settings and what was fitted (with skops, not pickle)."""
        super().save(folder)
        # skrub's steps repeat the names of all columns: 9 MB for 13 columns, a fortieth of that compressed
        fitted = self.pipeline if self.order is None else [self.vectorizer, self.pipeline]
        skops_files.dump(fitted, folder / "pipeline.skops", TABLE_TYPES, compress=True)

    def _settings(self) -> Settings:
        settings = {"columns": self.columns, "n_features": self.n_features}
        return settings if self.order is None else {**settings, "order": self.order}

    @classmethod
    def _load(cls, folder: Path, settings: Settings) -> Self:
        fitted = skops_files.load(folder / "pipeline.skops", TABLE_TYPES)
        if settings.get("order") is None:
            return cls(pipeline=fitted, **settings)
        vectorizer, pipeline = fitted
        return cls(pipeline=pipeline, vectorizer=vectorizer, **settings)


@dataclass(frozen=True)
class TextPreprocess(Preprocess):
    """Texts to sparse tf-idf rows: words and pairs of words that occur in at least two texts of source and target."""

    kind = "text"
    described = _OfTexts
    vectorizer: Transformer
    n_features: int

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        with _explain_changes():
            rows = scipy.sparse.csr_array(self.vectorizer.transform(domain.texts), dtype=np.float32)
            _checked(rows.data[:, None], rows.nnz, 1)
            if rows.shape != (len(domain), self.n_features):
                raise ValueError(f"{rows.shape[1]} features instead of {self.n_features}")
        return SparseInputs(rows)

    def save(self, folder: Path) -> None:
        """Save the settings and the fitted vectorizer (with skops, not pickle)."""
        super().save(folder)
        skops_files.dump(self.vectorizer, folder / "pipeline.skops", TEXT_TYPES, compress=True)

    def _settings(self) -> Settings:
        return {"n_features": self.n_features}

    @classmethod
    def _load(cls, folder: Path, settings: Settings) -> Self:
        return cls(vectorizer=skops_files.load(folder / "pipeline.skops", TEXT_TYPES), **settings)


@dataclass(frozen=True)
class TokenPreprocess(Preprocess):
    """Texts to tokens ``(n, length)`` of an encoder, whose tokenizer and settings are in ``folder``."""

    kind = "text"
    form = "tokens"
    described = _OfTokens
    folder: Path
    length: int

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        rows = self._tokenizer(domain.texts, self.length)
        missing = self.length - rows.shape[1]
        return TokenInputs(np.pad(rows, ((0, 0), (0, missing)), constant_values=tokens.NONE))

    @cached_property
    def _tokenizer(self) -> tokens.Tokenizer:
        return tokens.Tokenizer(self.folder)

    def save(self, folder: Path) -> None:
        """Save the settings and the encoder's files, so that the Run does not need the encoder's folder."""
        super().save(folder)
        tokens.keep_files(self.folder, folder / "encoder")

    def _settings(self) -> Settings:
        return {"length": self.length}

    @classmethod
    def _load(cls, folder: Path, settings: Settings) -> Self:
        return cls(folder=folder / "encoder", **settings)


@dataclass(frozen=True)
class ImageTextPreprocess(Preprocess):
    """Images and texts, each preprocessed as on its own, packed into one row per example."""

    kind = "image and text"
    described = _OfBoth
    images: Preprocess
    texts: Preprocess

    def _inputs(self, domain: Domain, cache_bytes: int) -> Inputs:
        images, texts = parted(domain)
        return PackedInputs(self.images.inputs(images, cache_bytes=cache_bytes), self.texts.inputs(texts))

    def save(self, folder: Path) -> None:
        """Save both, each in a folder of its own."""
        super().save(folder)
        for name, part in (("images", self.images), ("texts", self.texts)):
            (folder / name).mkdir()
            part.save(folder / name)

    def _settings(self) -> Settings:
        return {}

    @classmethod
    def _load(cls, folder: Path, settings: Settings) -> Self:
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
    """Fit the preprocessing on the examples of both domains; it does not use labels.

    Args:
        source: The labelled domain.
        target: The domain to adapt to.
        size: Pixels a side that images are resized to; by default the most common size in both domains, 16 to 224.
        interpolation: How images are resized.
        encoder: Folder of the encoder that texts are tokenized for; without it texts become tf-idf rows.
        length: Most tokens of a text; by default as many as the encoder takes.

    Raises:
        BadInput: The kinds or shapes of the two domains differ.
    """
    check_kinds(source, target)
    if source.kind == "image and text":
        (images, texts), (target_images, target_texts) = parted(source), parted(target)
        return ImageTextPreprocess(
            _fit_images(images, target_images, size, interpolation), _fit_texts(texts, target_texts, encoder, length)
        )
    if source.kind == "images":
        return _fit_images(source, target, size, interpolation)
    if source.kind == "text":
        return _fit_texts(source, target, encoder, length)
    return _fit_table(source, target) if source.kind == "table" else _fit_vectors(source, target)


def load(folder: Path) -> Preprocess:
    """Load the preprocessing that was saved in ``folder``.

    Raises:
        BadInput: It is damaged, or contains a type that no Run has.
    """
    kinds = {c.form or c.kind: c for c in FORMS}
    with explain_damage(folder.parent, folder.name):
        settings = _settings(folder / "preprocess.json")
        if (name := settings.pop("kind", None)) not in kinds:
            raise ValueError(f"preprocess.json: kind={name!r:.40} is unknown")
        return kinds[name]._load(folder, typed_json.check(settings, kinds[name].described))


def _settings(path: Path) -> Settings:
    try:
        return dict(typed_json.read(path, Settings))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def check_kinds(source: Domain, target: Domain) -> None:
    """Check that both domains have the same kind.

    Raises:
        BadInput: They do not.
    """
    if source.kind != target.kind:
        raise _kinds_differ(target, source.kind)


def _fit_images(source: Domain, target: Domain, size: int | None, interpolation: Interpolation) -> Preprocess:
    size = size or usual_size(source, target)
    moments = (_moments(source, size) + _moments(target, size)) / 2
    std = np.sqrt(moments[1] - moments[0] ** 2).clip(1.0)
    return ImagePreprocess(size, moments[0].round(4).tolist(), std.round(4).tolist(), interpolation)


def _moments(domain: Domain, size: int) -> NDArray[np.float64]:
    """Return the mean and mean square of each channel ``(2, 3)`` over a sample of the domain's images."""
    pick = np.linspace(0, len(domain) - 1, min(len(domain), SAMPLE)).astype(np.int64)
    inputs = ImagePreprocess(size, [], []).inputs(domain.take(pick), cache_bytes=0)
    sums = np.zeros((2, 3))
    for rows in rows_of(inputs, 32):
        pixels = inputs.batch(rows).numpy().astype(np.float64)
        sums += [pixels.mean((2, 3)).sum(0), (pixels**2).mean((2, 3)).sum(0)]
    return sums / len(pick)


def usual_size(source: Domain, target: Domain) -> int:
    """Return the most common length of the shorter side, 16 to 224; of lengths about as common, the largest."""
    sizes = Counter(
        min(domain.images.shape(int(i)))
        for domain in (source, target)
        for i in np.linspace(0, len(domain) - 1, min(len(domain), SIZED))
    )
    usual = max(size for size, n in sizes.items() if n >= max(sizes.values()) / 2)
    return int(np.clip(usual, 16, 224))


def _fit_vectors(source: Domain, target: Domain) -> Preprocess:
    a, b = source.vectors, target.vectors
    if a.shape[1] != b.shape[1]:
        raise BadInput(f"{target.name}: has {b.shape[1]} columns, the source has {a.shape[1]}; give the same columns")
    if scipy.sparse.issparse(a) and scipy.sparse.issparse(b):
        return VectorPreprocess(a.shape[1], True, [], [])
    both = np.concatenate([_dense(a), _dense(b)]).astype(np.float64)
    std = both.std(0)
    std[std < 1e-12] = 1.0
    return VectorPreprocess(a.shape[1], False, both.mean(0).tolist(), std.tolist())


def _dense(x: Vectors) -> NDArray[np.float32]:
    return x if isinstance(x, np.ndarray) else np.asarray(x.toarray())


def _fit_table(source: Domain, target: Domain) -> Preprocess:
    from acclimate.data import tables

    columns = tables.common_columns(source, target)
    frames = [tables.as_fitted(domain, columns) for domain in (source, target)]
    import polars as pl  # slow to import, so after the checks
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    both, pipeline = pl.concat(frames), make_pipeline(imputer, StandardScaler())
    try:
        vectorizer = _fitted_vectorizer(both, columns)
        order = _order(both, columns, vectorizer)
        rows = np.asarray(pipeline.fit_transform(_in_order(both, columns, vectorizer, order)))
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"{source.name}: the columns cannot be fitted together with those of {target.name} "
            f"({first_line(error)}); leave out the ones that differ with --drop"
        ) from error
    return TablePreprocess(columns, pipeline, rows.shape[1], order, vectorizer)


def _are_numbers(kind: "tables.ColumnKind") -> bool:
    return kind in ("numbers", "nothing")


def _fitted_vectorizer(frame: "pl.DataFrame", columns: "Mapping[str, tables.ColumnKind]") -> "TableVectorizer | None":
    """What encodes dates and texts; None if all columns are numbers."""
    from skrub import StringEncoder, TableVectorizer

    others = [name for name, kind in columns.items() if not _are_numbers(kind)]
    if not others:
        return None
    vectorizer = TableVectorizer(high_cardinality=StringEncoder(random_state=0))  # else each fit draws its own
    return vectorizer.fit(frame.select(others))


def _order(
    frame: "pl.DataFrame", columns: "Mapping[str, tables.ColumnKind]", vectorizer: "TableVectorizer | None"
) -> list[int]:
    """The place of each filled column in the order of the table, without columns of numbers that have no value."""
    numbers = [name for name, kind in columns.items() if _are_numbers(kind)]
    places = {name: [i] if frame[name].null_count() < frame.height else [] for i, name in enumerate(numbers)}
    at = len(numbers)
    for name, made in ({} if vectorizer is None else vectorizer.input_to_outputs_).items():
        places[name] = list(range(at, at + len(made)))
        at += len(made)
    return [place for name in columns for place in places[name]]


def _in_order(
    frame: "pl.DataFrame", columns: "Mapping[str, tables.ColumnKind]", vectorizer: Transformer | None, order: list[int]
) -> NDArray[np.float64]:
    """Numbers as one block beside the encoded columns, in the order of the table; missing ones are NaN.

    Values have the precision of float32, as skrub's; means and deviations are taken in float64.
    """
    numbers = [name for name, kind in columns.items() if _are_numbers(kind)]
    with np.errstate(over="ignore"):  # an overflow gives infinity, which is refused
        block = frame.select(numbers).to_numpy().astype(np.float32).reshape(frame.height, len(numbers))
    if vectorizer is None:
        return block[:, order].astype(np.float64)
    encoded = _transform(vectorizer, frame.select([name for name in columns if name not in set(numbers)]))
    return np.concatenate([block, encoded], 1)[:, order].astype(np.float64)


@contextmanager
def _explain_changes(*usual: type[Exception]) -> Iterator[None]:
    """Turn what a changed transformer raises into one line, but for the ``usual`` errors of input that does not fit.

    Raises:
        BadInput: The block failed otherwise.
    """
    try:
        yield
    except Exception as error:  # scikit-learn and skrub fail in many ways on state that they did not fit
        if isinstance(error, (BadInput, *usual)):
            raise
        why = f"{type(error).__name__}: {first_line(error)}"
        raise BadInput(f"the preprocessing fails ({why}); was the Run changed or damaged?") from error


def _checked(rows: NDArray[np.float32], n: int, width: int) -> NDArray[np.float32]:
    """Refuse what a changed preprocessing may give.

    Raises:
        BadInput: The shape is another one, or a number is not finite.
    """
    if rows.shape != (n, width) or not np.isfinite(rows).all():
        raise BadInput(
            f"the preprocessing gives {' x '.join(map(str, rows.shape))} numbers for {n} rows of {width} features, or "
            "some that are not finite; was the Run changed or damaged?"
        )
    return rows


def _fit_texts(source: Domain, target: Domain, encoder: Path | None, length: int | None) -> Preprocess:
    return _fit_tokens(source, target, encoder, length) if encoder else _fit_tf_idf(source, target)


def _fit_tf_idf(source: Domain, target: Domain) -> Preprocess:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=30_000, sublinear_tf=True, dtype=np.float32)
    try:
        vectorizer.fit([*source.texts, *target.texts])
    except ValueError as error:
        raise BadInput(f"{source.name}: no word occurs in two texts; check that this is the right column") from error
    return TextPreprocess(vectorizer, len(vectorizer.vocabulary_))


def _fit_tokens(source: Domain, target: Domain, folder: Path, length: int | None) -> Preprocess:
    tokenizer = tokens.Tokenizer(folder)
    most = min(length or tokenizer.longest, tokenizer.longest)
    longest = max(tokenizer(domain.texts, most).shape[1] for domain in (source, target))
    return TokenPreprocess(folder, longest)


def _kinds_differ(domain: Domain, kind: Kind) -> BadInput:
    return BadInput(
        f"{domain.name}: the examples are of kind {domain.kind!r}, the source's of kind {kind!r}; give the same kind"
    )


FORMS: tuple[type[Preprocess], ...] = (
    ImagePreprocess,
    VectorPreprocess,
    TablePreprocess,
    TextPreprocess,
    TokenPreprocess,
    ImageTextPreprocess,
)


def _transform(pipeline: Transformer, frame: object) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an unknown category becomes zeros, as intended
        warnings.simplefilter("ignore", RuntimeWarning)  # what overflows is not finite, which is refused
        return np.asarray(pipeline.transform(frame), dtype=np.float32)
