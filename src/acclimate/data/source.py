"""Everything that a domain can be given as, and the one function that reads it."""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeAlias, TypeGuard

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import ArrayLike

from acclimate.data import load
from acclimate.data.arrays import as_array, from_arrays
from acclimate.data.domain import Domain
from acclimate.data.frames import PandasFrame, PandasSeries, series_to_polars, to_polars
from acclimate.data.hugging_face import HuggingFaceDataset, from_dataset
from acclimate.data.items import Items, SizedItems, from_items
from acclimate.data.listed import Listing
from acclimate.data.optional import is_instance_of, is_series, is_tensor
from acclimate.data.read_labels import Labels, from_array, from_column
from acclimate.data.tables import Columns, from_frame
from acclimate.errors import BadInput


class SparseRows(Protocol):
    """A SciPy sparse array or matrix."""

    def tocsr(self) -> object:
        """Return the rows in CSR format."""


Rows: TypeAlias = (
    ArrayLike | SparseRows | pl.DataFrame | PandasFrame | pl.Series | PandasSeries | HuggingFaceDataset | Items
)
"""Examples in memory.

- NumPy arrays and torch tensors: images ``(n, h, w)`` or ``(n, h, w, 3)`` (of a tensor ``(n, c, h, w)``) or vectors
  ``(n, d)``; SciPy sparse rows ``(n, d)``;
- pandas and polars data frames, whose columns are used as those of a CSV file: a table, texts, or paths of images;
- lists (or series) of texts; lists of PIL images, arrays or tensors;
- map-style datasets: ``torch.utils.data.Dataset`` or any object with ``__len__`` and ``__getitem__``. Each item, as of
  a list, is an example, or a pair (example, label);
- ``datasets.Dataset`` of Hugging Face, whose columns are used as those of a CSV file; ``ClassLabel`` and ``Image``
  columns are decoded.
"""
Source: TypeAlias = str | Path | Domain | Rows | tuple[Rows, ArrayLike | PandasSeries | pl.Series | None]
"""What a domain can be given as: a path, a `Domain`, examples in memory (see `Rows`), or a pair ``(x, y)`` of such
examples and their labels."""

ACCEPTED = (
    "a path, a Domain, an array or tensor, a SciPy sparse array, a pandas or polars data frame, a list of texts or "
    "images, a torch or Hugging Face Dataset, or a pair (x, y) of one of these and labels"
)
NEARLY = (
    ("torch", "DataLoader", "give its dataset"),
    ("torch", "IterableDataset", "give a map-style dataset, or list(dataset)"),
    ("datasets", "DatasetDict", "choose a split, e.g. dataset['train']"),
    ("datasets", "IterableDatasetDict", "load it without streaming, and choose a split"),
    ("datasets", "IterableDataset", "load it without streaming"),
    ("polars", "LazyFrame", "call its collect() first"),
)
"""Types that are close to accepted ones, by package and class, and what to do."""


def as_domain(
    given: Source,
    *,
    name: str,
    label: str | None = None,
    text: str | None = None,
    image: str | None = None,
    drop: Sequence[str] = (),
    must_have_label: bool = False,
    read_labels: bool = True,
) -> Domain:
    """Read a domain from whatever it is given as; see `Source`.

    No optional library is imported: an object of pandas, torch or ``datasets`` brings its own.

    Args:
        given: The domain.
        name: What messages and figures call it, unless it is a path or has a name.
        label: The column with the labels. Where there are no columns, this and the next three are not used.
        text: The column with the texts to learn from, or several separated by commas.
        image: The column with the images, or with their paths.
        drop: Columns to leave out.
        must_have_label: Refuse a table that lacks the column ``label`` or one of ``drop``.
        read_labels: False sets labels aside unread: they may be blank, or anything else.

    Returns:
        The domain; its ``label_type`` tells whether the labels were integers.

    Raises:
        BadInput: The type is not accepted, or what it contains cannot be read.
    """
    columns = Columns(label, text, image, tuple(drop), must_have_label, read_labels)
    if isinstance(given, Domain):
        return given if read_labels else given.without_labels()
    if isinstance(given, str | Path):
        return load(given, **columns._asdict())
    if isinstance(given, tuple) and len(given) == 2:
        return _with_labels(*given, name=name, columns=columns)
    return _from_rows(given, name, columns)


def _with_labels(x: Rows, y: ArrayLike | PandasSeries | pl.Series | None, *, name: str, columns: Columns) -> Domain:
    domain = _from_rows(x, name, columns if y is None else columns._replace(must_have_label=False))
    if y is None:
        return domain
    if not columns.read_labels:
        return replace(domain, labels_set_aside=True)
    if domain.labels is not None:
        raise BadInput(f"{name}: has labels in x and in y; give them once")
    found = _labels(y, len(domain), name)
    return replace(domain, labels=found.values, label_type=found.type)


def _labels(y: ArrayLike | PandasSeries | pl.Series, n: int, name: str) -> Labels:
    if is_series(y):
        y = series_to_polars(y, "y", name)
        return from_array(y.to_numpy(), n, name) if len(y) != n else from_column(y, "y", name)
    return from_array(as_array(y, name), n, name)


def _from_rows(given: Rows, name: str, columns: Columns) -> Domain:
    """Read examples in memory."""
    if isinstance(given, pl.DataFrame):
        return from_frame(given, name=name, listing=Listing.of_frame(name), columns=columns)
    if _is_pandas(given):
        unread = None if columns.read_labels else columns.label
        return _from_rows(to_polars(given, name, unread=unread), name, columns)
    if _is_hugging_face(given):
        return from_dataset(given, name=name, columns=columns)
    if is_series(given):
        return from_items(series_to_polars(given, "x", name).to_list(), name=name, read_labels=columns.read_labels)
    if isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "UTO":
        return from_items(given.tolist(), name=name, read_labels=columns.read_labels)
    if _is_array(given):
        return from_arrays(given, name=name)
    if _are_items(given):
        return from_items(given, name=name, read_labels=columns.read_labels)
    raise BadInput(_not_accepted(given, name))


def _is_pandas(value: object) -> TypeGuard[PandasFrame]:
    return is_instance_of(value, "pandas", "DataFrame")


def _is_hugging_face(value: object) -> TypeGuard[HuggingFaceDataset]:
    return is_instance_of(value, "datasets", "Dataset")


def _is_array(value: object) -> TypeGuard[ArrayLike]:
    return isinstance(value, np.ndarray) or bool(scipy.sparse.issparse(value)) or is_tensor(value)


def _are_items(value: object) -> TypeGuard[SizedItems]:
    """Return whether ``value`` is a list or a map-style dataset."""
    no_examples = isinstance(value, str | bytes | bytearray | tuple | Mapping)
    return isinstance(value, Sized) and hasattr(value, "__getitem__") and not no_examples


def _not_accepted(given: object, name: str) -> str:
    kind = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
    for package, names, advice in NEARLY:
        if is_instance_of(given, package, names):
            return f"{name}: is a {kind}; {advice}"
    return f"{name}: cannot read a {kind}; give {ACCEPTED}"
