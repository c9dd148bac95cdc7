"""Whether a domain is the one that it was: a hash of its examples, their names and their labels."""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray

from acclimate.data.domain import Domain, Examples, Images, ImagesAndTexts
from acclimate.data.items import ItemImages
from acclimate.data.joined_images import JoinedImages


def digest(domain: Domain) -> str:
    """Return a hash of a domain's examples, their order, their names and their labels.

    Files are hashed as they are stored. Images of a dataset object are not read, since a dataset may change them at
    random; only their number counts.
    """
    whole = hashlib.sha256(domain.kind.encode())
    for part in _parts(domain.examples):
        whole.update(hashlib.sha256(part).digest())
    whole.update(_of_texts(domain.names))
    whole.update(_of_texts(domain.labels if domain.labels is not None else ()))
    return whole.hexdigest()[:32]


def _parts(examples: Examples) -> Iterator[bytes]:
    """All that examples consist of."""
    if isinstance(examples, ImagesAndTexts):
        yield from _parts(examples.images)
        yield _of_texts(examples.texts)
    elif isinstance(examples, pl.DataFrame):
        for column in examples.get_columns():
            yield column.name.encode()
            yield from _of_column(column)
    elif isinstance(examples, JoinedImages):
        for rows, images in examples.by_part():
            yield from _of_array(rows)
            yield from _parts(images)
    elif isinstance(examples, Images):
        yield str(len(examples)).encode() if isinstance(examples, ItemImages) else examples.digest().encode()
    elif isinstance(examples, list):
        yield _of_texts(examples)
    elif isinstance(examples, np.ndarray):
        yield from _of_array(examples)
    else:
        rows = scipy.sparse.csr_array(examples)
        for part in (rows.indptr, rows.indices, rows.data):
            yield from _of_array(part)


def _of_column(column: pl.Series) -> Iterator[bytes]:
    if column.dtype.is_float() or column.dtype in {pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt32}:
        yield from _of_array(column.is_null().to_numpy())
        yield from _of_array(column.fill_null(0).to_numpy())
    else:
        yield _of_texts(map(repr, column.to_list()))


def _of_array(array: NDArray[np.generic]) -> Iterator[bytes]:
    yield f"{array.dtype.str} {array.shape}".encode()
    yield np.ascontiguousarray(array).tobytes()


def _of_texts(texts: Iterable[str]) -> bytes:
    """The hash of texts, each with its length, so that none runs into the next."""
    whole = hashlib.sha256()
    for text in texts:
        coded = text.encode("utf-8", "surrogatepass")
        whole.update(b"%d " % len(coded) + coded)
    return whole.digest()
