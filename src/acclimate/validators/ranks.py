"""Ranks within a pool."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """The share of the other values that each of ``values (m,)`` exceeds, a tie counting half; 0.5 if it is alone.

    NaN has no rank, and does not count for the others.

    Example:
        >>> ranks([3.0, 1.0, 3.0, np.nan]).tolist()
        [0.75, 0.0, 0.75, nan]
    """
    values = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(values)
    found, n = np.full(len(values), np.nan), int(known.sum())
    found[known] = 0.5 if n < 2 else (rankdata(values[known]) - 1) / (n - 1)
    return found
