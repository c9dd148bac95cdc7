"""Which examples of one domain are also in another, by their content: whatever their files or rows are called."""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import polars as pl
import scipy.sparse

from acclimate.data.domain import Domain, Images, Vectors, parted
from acclimate.data.images import READERS, FileImages
from acclimate.data.stored import pixel_hash, short_hash
from acclimate.errors import BadInput

BLOCK = 4096
"""Rows of vectors that are hashed at once."""
NOISE = 3
"""Standard errors by which chance may exceed the share of rows that repeat."""

Keys: TypeAlias = Sequence[tuple[Hashable, ...]]
"""What identifies the content of each row; two rows are the same if they share a key."""


class Overlap(NamedTuple):
    """How many rows of one domain are also in another.

    Attributes:
        found: Rows that are in the other.
        of: All rows.
        repeated: The share of the other domain's rows that occur more than once in it. Where examples repeat by
            nature, as in a table of a few categories, about as many rows of a new domain occur in it by chance.
        same: Whether both domains have the same examples, each equally often.
    """

    found: int
    of: int
    repeated: float = 0.0
    same: bool = False

    def exceeds(self, share: float) -> bool:
        """Whether more than ``share`` of the rows are found beyond what repeated rows explain."""
        chance = self.repeated + NOISE * math.sqrt(self.repeated * (1 - self.repeated) / self.of)
        return self.same or self.found / self.of > share + chance


class _Image(NamedTuple):
    """What is known of an image: a hash of the stored picture, or of the pixels if it is in memory."""

    picture: bytes
    size: tuple[int, int] | None
    lossy: bool
    pixels: bytes | None = None


class Comparison:
    """Compares domains with one another, and reads the pixels of an image at most once."""

    def __init__(self) -> None:
        self._of_files: dict[bytes, bytes | None] = {}
        self._in_memory: dict[int, tuple[Images, list[_Image]]] = {}

    def overlap(self, these: Domain, among: Domain) -> Overlap:
        """Compare the examples of two domains of one kind.

        Images are the same if their pixels are, tables if the values in the columns that both have are, texts if they
        are but for white space, vectors if all numbers are. An image that cannot be read is like no other.

        Args:
            these: The examples that are looked for.
            among: Those they are looked for in.
        """
        if these.kind != among.kind:
            return Overlap(0, len(these))
        asked, known = self._keys(these, among)
        one_key = {key: keys[-1] for keys in known for key in keys}
        found = [one_key[key] for keys in asked if (key := next((k for k in keys if k in one_key), None)) is not None]
        counts = Counter(keys[-1] for keys in known if keys)
        repeated = sum(n for n in counts.values() if n > 1) / len(among) if found else 0.0
        same = len(found) == len(these) == len(among) and counts == Counter(found)
        return Overlap(len(found), len(these), repeated, same)

    def _keys(self, these: Domain, among: Domain) -> tuple[Keys, Keys]:
        if these.kind == "images":
            return self._image_keys(these.images, among.images)
        if these.kind == "text":
            return _text_keys(these.texts), _text_keys(among.texts)
        if these.kind == "vectors":
            return _vector_keys(these.vectors), _vector_keys(among.vectors)
        if these.kind == "table":
            return _table_keys(these.table, among.table)
        (images, texts), (other_images, other_texts) = parted(these), parted(among)
        asked, known = self._image_keys(images.images, other_images.images)
        return _with_texts(asked, texts.texts), _with_texts(known, other_texts.texts)

    def _image_keys(self, these: Images, among: Images) -> tuple[Keys, Keys]:
        """Compare files as they are stored; read pixels only where two files may hold the same ones."""
        asked, known = self._images(these), self._images(among)
        pictures = {image.picture for image in known}
        left = [i for i, image in enumerate(asked) if image.size and image.picture not in pictures]
        rows, other_rows = _comparable(asked, left, known)
        return self._with_pixels(these, asked, rows), self._with_pixels(among, known, other_rows)

    def _images(self, images: Images) -> Sequence[_Image]:
        if isinstance(images, FileImages):
            return [_Image(file.picture, file.size, file.lossy, file.pixels) for file in images.stored()]
        if id(images) not in self._in_memory:  # the images are kept too, so that no other object gets their id
            self._in_memory[id(images)] = images, [_read_image(images, i) for i in range(len(images))]
        return self._in_memory[id(images)][1]

    def _with_pixels(self, images: Images, known: Sequence[_Image], rows: Sequence[int]) -> Keys:
        keys: list[tuple[bytes, ...]] = [(image.picture,) for image in known]
        if not isinstance(images, FileImages):
            return keys
        self._of_files |= {known[i].picture: known[i].pixels for i in rows if known[i].pixels}
        missing = [i for i in rows if known[i].picture not in self._of_files]
        with ThreadPoolExecutor(READERS) as threads:
            for i, image in zip(missing, threads.map(lambda i: _read_image(images, i), missing), strict=True):
                self._of_files[known[i].picture] = image.picture if image.size else None
        for i in rows:
            if pixels := self._of_files[known[i].picture]:
                keys[i] = (known[i].picture, pixels)
        return keys


def _with_texts(images: Keys, texts: Sequence[str]) -> Keys:
    words = [" ".join(text.split()) for text in texts]
    return [tuple((key, word) for key in keys) for keys, word in zip(images, words, strict=True)]


def _text_keys(texts: Sequence[str]) -> Keys:
    return [(" ".join(text.split()),) for text in texts]


def _vector_keys(x: Vectors) -> Keys:
    return [(key,) for start in range(0, x.shape[0], BLOCK) for key in _block_keys(x[start : start + BLOCK])]


def _block_keys(x: Vectors) -> Iterator[bytes]:
    """Yield a hash of the numbers in each row that are not zero, and of their places: alike for dense and sparse."""
    rows = scipy.sparse.csr_array(x, dtype=np.float32, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    places = rows.indices.astype(np.int64)
    for start, end in pairwise(rows.indptr.tolist()):
        yield short_hash(places[start:end].tobytes() + rows.data[start:end].tobytes())


def _table_keys(these: pl.DataFrame, among: pl.DataFrame) -> tuple[Keys, Keys]:
    columns = [name for name in these.columns if name in among.columns]
    if not columns:
        return [()] * these.height, [()] * among.height
    plain = [(_plain(these[name], among[name]), _plain(among[name], these[name])) for name in columns]
    hashes = (pl.DataFrame(list(frame)).hash_rows() for frame in zip(*plain, strict=True))
    asked, known = ([(key,) for key in of_rows.to_list()] for of_rows in hashes)
    return asked, known


def _plain(column: pl.Series, other: pl.Series) -> pl.Series:
    """Return a column in the type in which it can be compared with the other domain's."""
    numbers = [c.dtype.is_numeric() or c.dtype == pl.Boolean for c in (column, other)]
    if all(numbers):
        return column.cast(pl.Float64)
    if all(c.dtype in (pl.Date, pl.Datetime) for c in (column, other)):
        return column.dt.epoch("us")
    return column.to_physical().cast(pl.String) if column.dtype == pl.Duration else column.cast(pl.String)


def _comparable(asked: Sequence[_Image], left: Sequence[int], known: Sequence[_Image]) -> tuple[list[int], list[int]]:
    """Return the rows of both whose pixels may be the same: of one size, and not both in a lossy format.

    Args:
        asked: The images that are looked for.
        left: Those of them whose files are not among the others'.
        known: The others.
    """
    sizes = {image.size for image in known}
    exact = {image.size for image in known if not image.lossy}
    rows = [i for i in left if asked[i].size in (exact if asked[i].lossy else sizes)]
    of_any = {asked[i].size for i in rows}
    of_exact = {asked[i].size for i in rows if not asked[i].lossy}
    return rows, [i for i, image in enumerate(known) if image.size in (of_exact if image.lossy else of_any)]


def _read_image(images: Images, i: int) -> _Image:
    try:
        pixels = images.read(i)
    except BadInput:
        return _Image(b"unreadable %d" % id(images) + b" %d" % i, None, False)
    height, width = pixels.shape[:2]
    return _Image(pixel_hash(pixels), (min(height, width), max(height, width)), False)
