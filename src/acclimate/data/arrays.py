"""Arrays in ``.npz`` files: images, vectors, SciPy's sparse rows."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from acclimate.data.domain import Domain, Kind
from acclimate.data.images import ArrayImages
from acclimate.errors import BadInput, did_you_mean, first_line

DAMAGED_NPZ = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, SyntaxError)
"""All that NumPy and SciPy were seen to raise on a damaged file."""


def from_npz(path: Path, part: str | None, *, name: str) -> Domain:
    """A domain of ``x`` and ``y`` (or ``x_part``, ``y_part``) in an ``.npz``, or of SciPy's sparse rows."""
    x_key, y_key = (f"x_{part}", f"y_{part}") if part else ("x", "y")
    if not zipfile.is_zipfile(path):
        raise BadInput(f"{path}: not an .npz, or cut off; write it with numpy.savez or scipy.sparse.save_npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            if x_key in stored:
                x = stored[x_key]
            elif "format" in stored and not part:
                x = _sparse(path)
            else:
                raise BadInput(_no_such_part(path, part, list(stored)))
            y = stored.get(y_key)
    except BadInput:
        raise
    except DAMAGED_NPZ as error:
        mend = "save plain arrays, no objects" if "pickle" in str(error) else "write it again"
        raise BadInput(f"{path}: not a readable .npz ({first_line(error)}); {mend}") from error
    return from_arrays(x, y, name=name)


def _sparse(path: Path) -> scipy.sparse.csr_array:
    """Rows whose indices were checked: wrong ones would read memory that is not theirs."""
    x = scipy.sparse.load_npz(path)
    if hasattr(x, "check_format"):
        x.check_format(full_check=True)
    return scipy.sparse.csr_array(x)


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
    if not sparse:
        x = _array(x, name)
    kind = _kind(x, sparse, name)
    if not all(x.shape):
        missing = "rows" if not x.shape[0] else "columns" if kind == "vectors" else "pixels"
        raise BadInput(f"{name}: x has the shape {x.shape}, so no {missing}; give some")
    labels = None if y is None else _labels(_array(y, name), x.shape[0], name)
    names = [str(i) for i in range(x.shape[0])]
    if kind == "images":
        return Domain(name, kind, ArrayImages(x), names, labels)
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused as that
        x = scipy.sparse.csr_array(x, dtype=np.float32) if sparse else x.astype(np.float32)
    _refuse_non_finite(x, name)
    return Domain(name, kind, x, names, labels)


def _array(values: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise BadInput(f"{name}: not an array ({first_line(error)}); give rows of the same length") from error


def _kind(x: Any, sparse: bool, name: str) -> Kind:
    numbers = np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating) or x.dtype == bool
    if x.ndim == 2 and numbers:
        return "vectors"
    pictures = not sparse and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3))
    if pictures and x.dtype == np.uint8:
        return "images"
    mend = "give uint8 images (n, h, w) or (n, h, w, 3), or numbers (n, d)"
    if pictures and numbers:
        mend = "images are uint8 from 0 to 255: save (255 * x).round().astype('uint8') if yours go from 0 to 1"
    elif not sparse and x.ndim == 4 and x.shape[1] == 3:
        mend = "colours come last: save x.transpose(0, 2, 3, 1)"
    raise BadInput(f"{name}: x is {x.dtype} {x.shape}; {mend}")


def _labels(y: NDArray[Any], n: int, name: str) -> NDArray[np.str_]:
    if y.shape != (n,):
        raise BadInput(f"{name}: y has shape {y.shape}, x has {n} rows; give one label a row, y of shape ({n},)")
    if np.issubdtype(y.dtype, np.floating):
        if not np.isfinite(y).all():
            raise BadInput(
                f"{name}: y has missing or infinite values, first in row {int(np.argmin(np.isfinite(y)))}; "
                "fill them or leave the rows out"
            )
        if (y == np.round(y)).all():
            y = y.astype(np.int64)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    return y.astype(np.str_)


def _refuse_non_finite(x: Any, name: str) -> None:
    finite = np.isfinite(x.data if scipy.sparse.issparse(x) else x)
    if finite.all():
        return
    if scipy.sparse.issparse(x):
        at = int(np.argmin(finite))
        row, column = int(np.searchsorted(x.indptr, at, side="right")) - 1, int(x.indices[at])
    else:
        row, column = (int(i) for i in np.argwhere(~finite)[0])
    raise BadInput(
        f"{name}: {int((~finite).sum())} values are NaN, infinite or too large, "
        f"first at row {row}, column {column}; fill or remove them"
    )


def _no_such_part(path: Path, part: str | None, keys: list[str]) -> str:
    parts = [k[2:] for k in keys if k.startswith("x_")]
    if part:
        return f"{path}: has no x_{part}; {did_you_mean(part, parts)}"
    if parts:
        return f"{path}: has the parts {', '.join(parts)}; choose one, e.g. {path}#{parts[0]}"
    return f"{path}: has no array `x` (it has {', '.join(keys) or 'none'}); save it with x=… and y=…"
