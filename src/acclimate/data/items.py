"""Examples that come one by one: lists and map-style datasets of images, texts or vectors, with labels or without."""

import threading
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acclimate.data.arrays import as_array, from_arrays, pixels_of
from acclimate.data.domain import Domain
from acclimate.data.images import content_digest, to_pixels, unreadable
from acclimate.data.optional import is_image, is_tensor
from acclimate.data.read_labels import SET_ASIDE, Labels, from_array
from acclimate.errors import BadInput


class Items(Protocol):
    """A list, or a map-style dataset of torch or of your own: each item is an example, or a pair (example, label)."""

    def __getitem__(self, i: int, /) -> object: ...


class SizedItems(Items, Sized, Protocol):
    """Items whose number is known."""


class ItemImages:
    """Images that are items, or the first part of items, fetched one at a time when they are read.

    Args:
        items: The items.
        name: What messages call them.
        rows: Which items these are; by default all.
    """

    def __init__(self, items: SizedItems, name: str, rows: NDArray[np.int64] | None = None):
        self.items, self.name = items, name
        self.rows = np.arange(len(items)) if rows is None else rows
        self._lock = threading.Lock()  # the items of a dataset may share an open file

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Return image ``i`` as uint8 ``(h, w, 3)`` or ``(h, w, 1)``.

        Raises:
            BadInput: The item is not an image, or cannot be read.
        """
        with self._lock:
            pixels = _to_pixels(self._fetch(i), self._where(i))
        return pixels[:, :, None] if pixels.ndim == 2 else pixels

    def shape(self, i: int) -> tuple[int, int]:
        """Return the height and width of image ``i``."""
        with self._lock:
            image = self._fetch(i)
        if is_image(image):
            return image.height, image.width
        height, width = _to_pixels(image, self._where(i)).shape[:2]
        return height, width

    def digest(self) -> str:
        """Return a hash of all pixels."""
        pixels = (self.read(i) for i in range(len(self)))
        return content_digest(str(image.shape).encode() + image.tobytes() for image in pixels)

    def take_rows(self, index: NDArray[np.int64]) -> "ItemImages":
        """Return the images at ``index``, in that order."""
        return ItemImages(self.items, self.name, self.rows[index])

    def _fetch(self, i: int) -> object:
        try:
            return _example(self.items[int(self.rows[i])])
        except OSError as error:  # of a file that a dataset opens
            raise BadInput(unreadable(self._where(i), error)) from error

    def _where(self, i: int) -> str:
        return f"{self.name}: item {self.rows[i]}"


def from_items(items: SizedItems, *, name: str, read_labels: bool = True) -> Domain:
    """Make a domain of items: images, which stay where they are, texts or vectors; of pairs, with the labels.

    Args:
        items: A list or a map-style dataset.
        name: What messages and figures call the domain.
        read_labels: False leaves the labels of pairs unread.

    Raises:
        BadInput: There are none, or they are not all images, all texts or all vectors of one length.
    """
    if not len(items):
        raise BadInput(f"{name}: has no items; give at least one")
    first = items[0]
    if isinstance(first, tuple) and len(first) > 2:
        raise BadInput(f"{name}: items have {len(first)} parts; give examples, or pairs (example, label)")
    names, example = [str(i) for i in range(len(items))], _example(first)
    are_pairs = isinstance(first, tuple) and len(first) == 2
    if _looks_like_image(example):
        labels = _labels(_all(items), name, are_pairs=are_pairs, read=read_labels)
        return Domain(name, "images", ItemImages(items, name), names, *labels)
    whole = list(_all(items))
    labels = _labels(whole, name, are_pairs=are_pairs, read=read_labels)
    examples = [_example(item) for item in whole]
    if isinstance(example, str | None):
        return Domain(name, "text", _texts(examples, name), names, *labels)
    vectors = from_arrays(as_array([as_array(row, name) for row in examples], name), name=name)
    return replace(vectors, labels=labels.values, label_type=labels.type, labels_set_aside=labels.set_aside)


def _all(items: SizedItems) -> Iterator[object]:
    return (items[i] for i in range(len(items)))


def _example(item: object) -> object:
    return item[0] if isinstance(item, tuple) and item else item


def _label(item: object) -> object:
    """Return the label in an item, as Python's own value; None if it has none."""
    label = item[1] if isinstance(item, tuple) and len(item) == 2 else None
    if isinstance(label, np.generic | np.ndarray) or is_tensor(label):
        return label.tolist()
    return label


def _labels(items: Iterable[object], name: str, *, are_pairs: bool, read: bool) -> Labels:
    if not are_pairs:
        return Labels()
    if not read:
        return SET_ASIDE
    values = [_label(item) for item in items]
    return from_array(as_array(values, name), len(values), name)


def _texts(examples: Sequence[object], name: str) -> list[str]:
    """Return the texts; None is an empty one, as in a table."""
    texts = ["" if text is None else text for text in examples]
    if strange := [(i, text) for i, text in enumerate(texts) if not isinstance(text, str)]:
        i, other = strange[0]
        raise BadInput(f"{name}: item {i} is of type {type(other).__name__}, and others are texts; give texts alone")
    found = [text for text in texts if isinstance(text, str)]
    if not any(text.strip() for text in found):
        raise BadInput(f"{name}: every text is empty; give some that are not")
    return found


def _looks_like_image(example: object) -> bool:
    if is_tensor(example):
        return example.ndim > 2 or (example.ndim == 2 and str(example.dtype) == "torch.uint8")
    if isinstance(example, np.ndarray):
        return example.ndim > 2 or (example.ndim == 2 and example.dtype == np.uint8)
    return is_image(example)


def _to_pixels(image: object, where: str) -> NDArray[np.uint8]:
    """Return an image as uint8 ``(h, w)``, ``(h, w, 1)`` or ``(h, w, 3)``."""
    if is_image(image):
        try:
            return to_pixels(image)
        except Exception as error:  # each format's reader raises its own exceptions on a damaged file
            raise BadInput(unreadable(where, error)) from error
    if is_tensor(image) and image.ndim == 3 and image.shape[0] in (1, 3):
        return pixels_of(image, where)
    if image is None:
        raise BadInput(f"{where}: has no image; fill it in or remove the item")
    array = as_array(image, where)
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3))):
        raise BadInput(f"{where}: is {array.dtype} {array.shape}; give images as uint8 (h, w) or (h, w, 3)")
    return array.astype(np.uint8, copy=False)
