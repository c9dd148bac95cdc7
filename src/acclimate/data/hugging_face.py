"""Datasets of Hugging Face's library ``datasets``, whose columns are used as a table's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import polars as pl

from acclimate.data.domain import Domain
from acclimate.data.items import ItemImages
from acclimate.data.listed import Listing
from acclimate.data.optional import is_instance_of
from acclimate.data.tables import Columns, from_frame
from acclimate.errors import BadInput, first_line


class HuggingFaceDataset(Protocol):
    """A ``datasets.Dataset``, as far as it is read."""

    @property
    def features(self) -> Mapping[str, object]:
        """The type of each column."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: int | str, /) -> object: ...

    def with_format(self, type: str | None = None) -> "HuggingFaceDataset":
        """Return the dataset with its values in another format; None is Python's own."""


class ImageColumn:
    """The images in one column, decoded when they are fetched."""

    def __init__(self, dataset: HuggingFaceDataset, column: str):
        self.dataset, self.column = dataset, column

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int, /) -> object:
        row = self.dataset[i]
        assert isinstance(row, Mapping)
        return row[self.column]


def from_dataset(dataset: HuggingFaceDataset, *, name: str, columns: Columns) -> Domain:
    """Make a domain of a dataset's rows.

    A single column of images needs no name. Classes (``ClassLabel``) are called by their names.

    Args:
        dataset: The dataset.
        name: What messages and figures call the domain.
        columns: What its columns are for.

    Raises:
        BadInput: As for a table; or several columns have images, and none is named.
    """
    dataset = dataset.with_format(None)
    with_images = [column for column, feature in dataset.features.items() if _is_feature(feature, "Image")]
    image, images = columns.image or _only_image(with_images, columns, name), None
    needed = _needed(dataset, columns._replace(image=image), with_images)
    columns = columns._replace(drop=tuple(column for column in columns.drop if column not in with_images))
    if image in with_images:
        images, columns = ItemImages(ImageColumn(dataset, image), name), columns._replace(image=None)
    frame = pl.DataFrame([_column(dataset, column, name) for column in needed])
    may_lack_labels = columns.read_labels and not columns.must_have_label
    if columns.label in frame.columns and may_lack_labels and frame[columns.label].is_null().all():
        frame = frame.drop(columns.label)  # the labels of a test split that are withheld
    return from_frame(frame, name=name, listing=Listing.of_frame(name), columns=columns, images=images)


def _is_feature(feature: object, kind: str) -> bool:
    return is_instance_of(feature, "datasets", kind)


def _only_image(with_images: Sequence[str], columns: Columns, name: str) -> str | None:
    """Return the only column of images, unless the texts are to be learned from alone."""
    left = [column for column in with_images if column not in columns.drop]
    if columns.text or not left:
        return None
    if len(left) > 1:
        raise BadInput(f"{name}: has images in the columns {', '.join(left)}; choose one with --image")
    return left[0]


def _needed(dataset: HuggingFaceDataset, columns: Columns, with_images: Sequence[str]) -> list[str]:
    """Return the columns to read: all but images for a table, else only those that are used."""
    others = [column for column in dataset.features if column not in with_images]
    if not (columns.image or columns.text):
        return others
    text = columns.text or ""
    used = {columns.label, columns.image, text, *(part.strip() for part in text.split(",")), *columns.drop}
    return [column for column in others if column in used]


def _column(dataset: HuggingFaceDataset, column: str, name: str) -> pl.Series:
    values = dataset[column]
    assert isinstance(values, Iterable)
    feature = dataset.features[column]
    try:
        found = pl.Series(column, list(values))
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise BadInput(
            f"{name}: column {column!r} cannot be read ({first_line(error)}); train with --drop {column}"
        ) from error
    return _with_class_names(found, feature) if _is_feature(feature, "ClassLabel") else found


def _with_class_names(codes: pl.Series, feature: object) -> pl.Series:
    """Return the names of classes; null where the class is unknown, -1."""
    named = dict(enumerate(_class_names(feature)))
    return codes.replace_strict(named, default=None, return_dtype=pl.String)


def _class_names(feature: object) -> Sequence[str]:
    """Return the names of the classes of a ``ClassLabel``."""
    names = getattr(feature, "names", ())
    assert isinstance(names, Sequence)
    return names
