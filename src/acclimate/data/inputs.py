"""Examples as model inputs, by index."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from acclimate.data.domain import Images
from acclimate.data.packing import pack
from acclimate.errors import BadInput
from acclimate.nn import csr_rows

RESIZED_AT_ONCE = 2**25
"""Bytes of float32 that images in an array pass through while they are resized."""
Index = NDArray[np.int64]
Interpolation = Literal["bilinear", "bicubic"]
"""How images are resized."""


class Inputs(Protocol):
    """Rows, by index, as tensors on the CPU."""

    in_memory: bool
    """Whether a batch is so cheap that fetching it ahead is not worth a thread."""

    def __len__(self) -> int: ...

    def batch(self, index: Index) -> Tensor:
        """Return the rows at ``index``, in that order."""

    def digest(self) -> str:
        """Return a hash of the rows and of how they are processed."""


class DenseInputs:
    """Vectors ``(n, d)`` in memory."""

    in_memory = True

    def __init__(self, x: NDArray[np.float32]):
        self.x = torch.from_numpy(np.ascontiguousarray(x))
        self.width = self.x.shape[1]

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Index, out: Tensor | None = None) -> Tensor:
        """Return rows ``(len(index), d)``, written to ``out`` if it is given."""
        return torch.index_select(self.x, 0, torch.from_numpy(index), out=out)

    def digest(self) -> str:
        """Return a hash of all numbers."""
        return _digest(self.x.shape, self.x)


class SparseInputs:
    """Sparse rows ``(n, d)`` in memory; batches stay sparse."""

    in_memory = True

    def __init__(self, x: scipy.sparse.csr_array):
        self.x = x
        x.sort_indices()

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def batch(self, index: Index) -> Tensor:
        """Return rows ``(len(index), d)`` in torch's CSR layout."""
        return self.batches([index])[0]

    def batches(self, indices: Sequence[Index]) -> list[Tensor]:
        """Return a batch for each of ``indices``; SciPy selects the rows of many batches as fast as those of one."""
        rows = self.x[np.concatenate(indices)]
        crow, col, values = (torch.from_numpy(part) for part in (rows.indptr, rows.indices, rows.data))
        ends = np.cumsum([0, *map(len, indices)]).tolist()
        return [_rows_between(crow, col, values, self.x.shape[1], *between) for between in pairwise(ends)]

    def digest(self) -> str:
        """Return a hash of all numbers and their positions."""
        return _digest(self.x.shape, self.x.indptr, self.x.indices, self.x.data)


def _rows_between(crow: Tensor, col: Tensor, values: Tensor, n_columns: int, first: int, last: int) -> Tensor:
    start, end = int(crow[first]), int(crow[last])
    return csr_rows(crow[first : last + 1] - start, col[start:end], values[start:end], n_columns)


class TokenInputs:
    """Tokens of texts ``(n, length)`` in memory, -1 after a text's end."""

    in_memory = True

    def __init__(self, tokens: NDArray[np.int32]):
        self.x = torch.from_numpy(tokens)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Index) -> Tensor:
        """Return int64 ``(len(index), length)``; all batches have the same length."""
        return self.x.index_select(0, torch.from_numpy(index)).long()

    def digest(self) -> str:
        """Return a hash of all tokens."""
        return _digest(self.x.shape, self.x)


class ArrayImageInputs:
    """Images of one uint8 array ``(n, h, w)`` or ``(n, h, w, 3)``, resized once.

    If all resized images need more than ``cache_bytes``, they are resized batch by batch instead.
    """

    def __init__(
        self,
        array: NDArray[np.uint8],
        size: int,
        *,
        interpolation: Interpolation = "bilinear",
        cache_bytes: int = 2**30,
    ):
        self.x = torch.from_numpy(np.ascontiguousarray(array if array.ndim == 4 else array[..., None]))
        self.size, self.interpolation = size, interpolation
        fits = array.shape[1:3] == (size, size)
        self.in_memory = fits or len(array) * self.x.shape[3] * size**2 <= cache_bytes
        if self.in_memory and not fits:
            self.x = _resized(self.x, size, interpolation)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Index) -> Tensor:
        """Return uint8 ``(len(index), 3, size, size)``, channels-last in memory."""
        picked = self.x.index_select(0, torch.from_numpy(index))
        if not self.in_memory:
            picked = _resize_batch(picked, self.size, self.interpolation)
        return picked.expand(-1, -1, -1, 3).contiguous().permute(0, 3, 1, 2)

    def digest(self) -> str:
        """Return a hash of all pixels and of the size."""
        return _digest(self.size, self.interpolation, self.x.shape, self.x)


class ImageInputs:
    """Images read when they are needed; a cache of ``cache_bytes`` keeps resized images.

    Several threads read, since decoding releases Python's lock. The cache does not move to other processes.
    """

    in_memory = False

    def __init__(
        self, images: Images, size: int, *, interpolation: Interpolation = "bilinear", cache_bytes: int = 2**30
    ):
        self.images, self.size = images, size
        self.resample = Image.Resampling[interpolation.upper()]
        self.room = cache_bytes // (3 * size * size)
        self.kept: dict[int, NDArray[np.uint8]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "kept": {}}

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Index) -> Tensor:
        """Return uint8 ``(len(index), 3, size, size)``, channels-last in memory.

        Raises:
            BadInput: An image cannot be read.
        """
        missing = [i for i in dict.fromkeys(index.tolist()) if i not in self.kept]
        read = dict(zip(missing, _readers().map(self.row, missing), strict=True)) if missing else {}
        stacked = np.stack([read[i] if i in read else self.kept[i] for i in index.tolist()])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2)

    def digest(self) -> str:
        """Return a hash of all images as they are stored, and of the size."""
        return _digest(self.size, self.resample, self.images.digest())

    def row(self, i: int) -> NDArray[np.uint8]:
        """Return image ``i`` as uint8 ``(size, size, 3)``."""
        if (kept := self.kept.get(i)) is not None:
            return kept
        image = Image.fromarray(self.images.read(i, self.size).squeeze())
        row = np.asarray(image.convert("RGB").resize((self.size, self.size), self.resample))
        if len(self.kept) < self.room:
            self.kept[i] = row
        return row


class PackedInputs:
    """Images with their texts, as rows of bytes.

    Args:
        images: Images, uint8 ``(n, 3, s, s)``.
        texts: Tokens ``(n, w)``, or sparse rows.
    """

    def __init__(self, images: Inputs, texts: Inputs):
        self.images, self.texts = images, texts
        self.in_memory = images.in_memory and texts.in_memory

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, index: Index) -> Tensor:
        """Return uint8 ``(len(index), 3 s² + 4 w)``, for `acclimate.data.packing.unpack`.

        Raises:
            BadInput: An image cannot be read.
        """
        words = self.texts.batch(index)
        return pack(self.images.batch(index), words.to_dense() if words.is_floating_point() else words.int())

    def digest(self) -> str:
        """Return a hash of both."""
        return _digest(self.images.digest(), self.texts.digest())


class ReadableInputs:
    """The rows of other inputs that can be read; ``broken`` has the reason for each row that cannot."""

    in_memory = True

    def __init__(self, inputs: Inputs):
        self.inputs, self.broken = inputs, _broken(inputs)
        self.readable = np.array([i for i in range(len(inputs)) if i not in self.broken], dtype=np.int64)
        self.in_memory = inputs.in_memory

    def __len__(self) -> int:
        return len(self.readable)

    def batch(self, index: Index) -> Tensor:
        """Return the readable rows at ``index``."""
        return self.inputs.batch(self.readable[index])

    def digest(self) -> str:
        """Return a hash of all rows, readable or not."""
        return self.inputs.digest()


class JoinedInputs:
    """The rows of two domains: those of the first, then those of the second."""

    def __init__(self, first: Inputs, second: Inputs):
        self.first, self.second = first, second
        self.in_memory = first.in_memory and second.in_memory

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def batch(self, index: Index) -> Tensor:
        """Return the rows at ``index``, in that order."""
        n = len(self.first)
        order = np.argsort(index >= n, kind="stable")  # the first domain's rows first
        first, second = np.split(index[order], [int((index < n).sum())])
        parts = [inputs.batch(rows) for inputs, rows in ((self.first, first), (self.second, second - n)) if len(rows)]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order))]

    def digest(self) -> str:
        """Return a hash of both."""
        return _digest(self.first.digest(), self.second.digest())


def joined(first: Inputs, second: Inputs) -> Inputs:
    """Join the rows of two domains; vectors in memory are copied into one array, so that batches stay fast."""
    if isinstance(first, DenseInputs) and isinstance(second, DenseInputs):
        return DenseInputs(np.concatenate([first.x.numpy(), second.x.numpy()]))
    if isinstance(first, SparseInputs) and isinstance(second, SparseInputs):
        return SparseInputs(scipy.sparse.csr_array(scipy.sparse.vstack([first.x, second.x], format="csr")))
    return JoinedInputs(first, second)


def _broken(inputs: Inputs) -> dict[int, str]:
    if isinstance(inputs, PackedInputs):
        return _broken(inputs.images)
    if not isinstance(inputs, ImageInputs):
        return {}

    def why(i: int) -> str:
        try:
            inputs.row(i)
        except BadInput as error:
            return str(error)
        return ""

    reasons = _readers().map(why, range(len(inputs)))
    return {i: reason for i, reason in enumerate(reasons) if reason}


def _digest(*parts: object) -> str:
    whole = hashlib.sha256()
    for part in parts:
        is_array = isinstance(part, np.ndarray | Tensor)
        content = np.ascontiguousarray(part).data if is_array else str(part).encode()
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()


@cache
def _readers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1), thread_name_prefix="read")


def _resized(x: Tensor, size: int, interpolation: Interpolation) -> Tensor:
    """All images, resized in parts that stay small as the float32 they pass through."""
    several = max(1, RESIZED_AT_ONCE // (4 * max(x[0].numel(), size * size * x.shape[3])))
    resized = torch.empty((len(x), size, size, x.shape[3]), dtype=torch.uint8)
    for part, to in zip(torch.split(x, several), torch.split(resized, several), strict=True):
        to.copy_(_resize_batch(part, size, interpolation))
    return resized


def _resize_batch(x: Tensor, size: int, interpolation: Interpolation) -> Tensor:
    nchw = x.permute(0, 3, 1, 2).float()
    resized = torch.nn.functional.interpolate(nchw, size=(size, size), mode=interpolation, antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def rows_of(inputs: Inputs, size: int) -> Sequence[Index]:
    """Return all rows in order, in batches of ``size``."""
    return [np.arange(i, min(i + size, len(inputs))) for i in range(0, len(inputs), size)]
