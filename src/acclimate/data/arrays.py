"""Arrays in ``.npz`` files: images, vectors, SciPy's sparse rows."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from acclimate.data.domain import Domain, Kind
from acclimate.data.images import ArrayImages
from acclimate.errors import BadInput, did_you_mean


def from_npz(path: Path, part: str | None, *, name: str) -> Domain:
    """A domain of ``x`` and ``y`` (or ``x_part``, ``y_part``) in an ``.npz``, or of SciPy's sparse rows."""
    x_key, y_key = (f"x_{part}", f"y_{part}") if part else ("x", "y")
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "indptr" in stored and not part:
                x = scipy.sparse.csr_array(scipy.sparse.load_npz(path))
            elif x_key in stored:
                x = stored[x_key]
            else:
                raise BadInput(_no_such_part(path, part, list(stored)))
            y = stored.get(y_key)
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError, NotImplementedError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: not a readable .npz ({_first_line(error)}); save plain arrays, no objects") from error
    return from_arrays(x, y, name=name)


def from_arrays(x: Any, y: Any = None, *, name: str) -> Domain:
    """A domain of arrays in memory.

    Args:
        x: uint8 images ``(n, h, w)`` or ``(n, h, w, 3)``, or numbers ``(n, d)``, NumPy or SciPy sparse.
        y: Classes ``(n,)``, or none.
        name: For messages and pictures.

    Raises:
        BadInput: Shapes that are none of these, no rows, or numbers that are not finite.
    """
    sparse = scipy.sparse.issparse(x)
    x = scipy.sparse.csr_array(x, dtype=np.float32) if sparse else np.asarray(x)
    if x.shape[0] == 0:
        raise BadInput(f"{name}: has no rows")
    kind = _kind(x, sparse, name)
    if kind == "vectors":
        _refuse_non_finite(x.data if sparse else x, name)
    labels = None if y is None else _labels(np.asarray(y), x.shape[0], name)
    examples = ArrayImages(x) if kind == "images" else x if sparse else x.astype(np.float32)
    return Domain(name, kind, examples, [str(i) for i in range(x.shape[0])], labels)


def _kind(x: Any, sparse: bool, name: str) -> Kind:
    if sparse or (x.ndim == 2 and (np.issubdtype(x.dtype, np.number) or x.dtype == bool)):
        return "vectors"
    if x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3)):
        return "images"
    raise BadInput(f"{name}: x is {x.dtype} {x.shape}; give uint8 images (n, h, w) or (n, h, w, 3), or numbers (n, d)")


def _labels(y: NDArray[Any], n: int, name: str) -> NDArray[np.str_]:
    if y.shape != (n,):
        raise BadInput(f"{name}: y has shape {y.shape}, x has {n} rows; give one label a row, y of shape ({n},)")
    if np.issubdtype(y.dtype, np.floating):
        if not np.isfinite(y).all():
            raise BadInput(f"{name}: y has missing values, first in row {int(np.argmin(np.isfinite(y)))}")
        if (y == np.round(y)).all():
            y = y.astype(np.int64)
    return y.astype(np.str_)


def _refuse_non_finite(values: NDArray[Any], name: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        where = f"first at row {place[0]}, column {place[1]}" if len(place) == 2 else "in a stored value"
        raise BadInput(f"{name}: {int((~finite).sum())} values are NaN or infinite, {where}; fill or remove them")


def _no_such_part(path: Path, part: str | None, keys: list[str]) -> str:
    parts = [k[2:] for k in keys if k.startswith("x_")]
    if part:
        return f"{path}: has no x_{part}; {did_you_mean(part, parts)}"
    if parts:
        return f"{path}: has the parts {', '.join(parts)}; choose one, e.g. {path}#{parts[0]}"
    return f"{path}: has no array `x` (it has {', '.join(keys) or 'none'}); save it with x=… and y=…"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
