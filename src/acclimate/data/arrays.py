"""Arrays in memory or in ``.npz`` files: images, vectors, SciPy's sparse rows."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from acclimate.data.domain import Domain, Kind, Vectors
from acclimate.data.images import ArrayImages
from acclimate.data.optional import is_tensor
from acclimate.data.read_labels import Labels
from acclimate.data.read_labels import from_array as labels_from_array
from acclimate.data.unpacking import check_arrays, largest
from acclimate.errors import BadInput, did_you_mean, first_line

if TYPE_CHECKING:
    from torch import Tensor

MOST_COLUMNS = 2**24
"""Most columns of sparse rows in a file."""

Array: TypeAlias = NDArray[np.generic] | scipy.sparse.csr_array


def from_npz(path: Path, part: str | None, *, name: str, read_labels: bool = True) -> Domain:
    """Read ``x`` and ``y`` (or ``x_part``, ``y_part``) from an ``.npz``, or the rows of a SciPy sparse array.

    With ``read_labels`` false ``y`` is not even unpacked.

    Raises:
        BadInput: The file is not a readable ``.npz``, or has no such arrays.
    """
    x_key, y_key = (f"x_{part}", f"y_{part}") if part else ("x", "y")
    if not zipfile.is_zipfile(path):
        raise BadInput(f"{path}: not an .npz file, or truncated; save it with numpy.savez or scipy.sparse.save_npz")
    try:
        with zipfile.ZipFile(path) as archive:
            check_arrays(archive, str(path), path.stat().st_size)
        with np.load(path, allow_pickle=False) as stored:
            if x_key in stored:
                x = stored[x_key]
            elif "format" in stored and not part:
                _check_shape(path, [int(length) for length in stored["shape"]])
                x = _load_sparse(path)
            else:
                raise BadInput(_no_such_part(path, part, list(stored)))
            y = stored.get(y_key) if read_labels else None
            set_aside = not read_labels and y_key in stored
    except (BadInput, OSError):
        raise
    except Exception as error:  # NumPy and SciPy raise all kinds of exceptions on damaged files
        fix = "save plain arrays, no objects" if "pickle" in str(error) else "save it again"
        raise BadInput(f"{path}: not a readable .npz file ({first_line(error)}); {fix}") from error
    return replace(from_arrays(x, y, name=name), labels_set_aside=set_aside)


def _check_shape(path: Path, shape: list[int]) -> None:
    """Refuse a shape of sparse rows that would not fit in memory; other formats become CSR, with 8 bytes per row."""
    rows, *columns = shape
    most = largest(path.stat().st_size) // 8
    if min(shape) < 0 or rows > most or max(columns, default=0) > MOST_COLUMNS:
        raise BadInput(
            f"{path}: states the shape {' x '.join(f'{length:,}' for length in shape)}; a file of this size may "
            f"have up to {most:,} rows and {MOST_COLUMNS:,} columns"
        )


def _load_sparse(path: Path) -> scipy.sparse.csr_array:
    """Load sparse rows and check their indices, since wrong ones would read foreign memory."""
    x = scipy.sparse.load_npz(path)
    if hasattr(x, "check_format"):
        x.check_format(full_check=True)
    return scipy.sparse.csr_array(x)


def from_arrays(x: ArrayLike, y: ArrayLike | None = None, *, name: str) -> Domain:
    """Make a domain of arrays in memory.

    Args:
        x: uint8 images ``(n, h, w)`` or ``(n, h, w, 3)``, or numbers ``(n, d)``, NumPy or SciPy sparse; or a tensor,
            whose images are ``(n, 1, h, w)`` or ``(n, 3, h, w)``, uint8 or from 0 to 1.
        y: Labels ``(n,)``, if there are any.
        name: What messages and figures call the domain.

    Raises:
        BadInput: The shapes are others, there are no rows, or a number is not finite.
    """
    array = _rows(x, name)
    kind = _kind(array, name)
    if not all(array.shape):
        missing = "rows" if not array.shape[0] else "columns" if kind == "vectors" else "pixels"
        raise BadInput(f"{name}: x has shape {array.shape}, so it has no {missing}; give at least one")
    labels = Labels() if y is None else labels_from_array(as_array(y, name), array.shape[0], name)
    names = [str(i) for i in range(array.shape[0])]
    if kind == "images":
        return Domain(name, kind, ArrayImages(np.asarray(array, dtype=np.uint8)), names, *labels)
    return Domain(name, kind, _finite_vectors(array, name), names, *labels)


def _rows(x: ArrayLike, name: str) -> Array:
    if scipy.sparse.issparse(x):
        return x
    if is_tensor(x) and x.ndim == 4 and x.shape[1] in (1, 3):
        return pixels_of(x, name)
    return as_array(x, name)


def as_array(values: object, name: str) -> NDArray[np.generic]:
    """Return the values of an array, a tensor on any device, or nested sequences.

    Raises:
        BadInput: Their rows differ in length, or they are not an array for another reason.
    """
    try:
        if is_tensor(values):
            values = values.detach().cpu()
            return np.asarray(values.float() if str(values.dtype) == "torch.bfloat16" else values)
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{name}: not an array ({first_line(error)}); give rows of equal length") from error


def pixels_of(images: "Tensor", name: str) -> NDArray[np.uint8]:
    """Return the pixels, channels last, of a tensor ``(…, c, h, w)`` that is uint8 or goes from 0 to 1.

    Raises:
        BadInput: Its values are others.
    """
    array = np.moveaxis(as_array(images, name), -3, -1)
    if array.dtype == np.uint8:
        pixels = array.astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating) and array.min(initial=0) >= 0 and array.max(initial=0) <= 1:
        pixels = np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    else:
        ends = f"from {array.min():g} to {array.max():g}" if array.size else "empty"
        raise BadInput(
            f"{name}: the images are {array.dtype} {ends}; give uint8, or floats from 0 to 1 (without Normalize)"
        )
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _kind(x: Array, name: str) -> Kind:
    numbers = np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating) or x.dtype == bool
    if x.ndim == 2 and numbers:
        return "vectors"
    are_images = not scipy.sparse.issparse(x) and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3))
    if are_images and x.dtype == np.uint8:
        return "images"
    fix = "give uint8 images (n, h, w) or (n, h, w, 3), or numbers (n, d)"
    if are_images and numbers:
        fix = "images are uint8 from 0 to 255: save (255 * x).round().astype('uint8') if yours go from 0 to 1"
    elif x.ndim == 4 and x.shape[1] == 3:
        fix = "channels come last: save x.transpose(0, 2, 3, 1)"
    raise BadInput(f"{name}: x is {x.dtype} {x.shape}; {fix}")


def _finite_vectors(x: Array, name: str) -> Vectors:
    with np.errstate(over="ignore"):  # an overflow gives infinity, which is refused
        if scipy.sparse.issparse(x):
            rows = scipy.sparse.csr_array(x, dtype=np.float32)
            _require_finite(rows.data, lambda at: _sparse_position(rows, at), name)
            return rows
        dense = x.astype(np.float32)
    _require_finite(dense, lambda at: divmod(at, dense.shape[1]), name)
    return dense


def _require_finite(values: NDArray[np.float32], position: Callable[[int], tuple[int, int]], name: str) -> None:
    """Refuse values that are not finite; ``position`` gives the row and column of the value at a flat index."""
    if (finite := np.isfinite(values)).all():
        return
    row, column = position(int(np.argmin(finite)))
    raise BadInput(
        f"{name}: {int((~finite).sum())} of {finite.size} values are NaN, infinite or too large, "
        f"first in row {row}, column {column}; fill them in or remove the rows"
    )


def _sparse_position(x: scipy.sparse.csr_array, at: int) -> tuple[int, int]:
    return int(np.searchsorted(x.indptr, at, side="right")) - 1, int(x.indices[at])


def _no_such_part(path: Path, part: str | None, keys: list[str]) -> str:
    parts = [k[2:] for k in keys if k.startswith("x_")]
    if part:
        return f"{path}: has no x_{part}; {did_you_mean(part, parts)}"
    if parts:
        return f"{path}: has the parts {', '.join(parts)}; choose one, e.g. {path}#{parts[0]}"
    return f"{path}: has no array `x` (it has {', '.join(keys) or 'none'}); save it with x=… and y=…"
