"""Whether an adaptation has broken the model: the guard that falls back to source-only."""

import numpy as np
from numpy.typing import NDArray

LOST = 0.1
"""Accuracy, or R², on the source's validation split that an adaptation may cost."""
FLAT = 0.05
"""How much predictions on the target must vary at least, as a share of how much they do on the source."""


def collapsed(source_val: float, source_val_before: float, target: NDArray[np.float64], *, lost: float = LOST) -> str:
    """Why the adapted model is not to be kept; empty if nothing speaks against it.

    Two signs are read without labels of the target: the accuracy on the source's own validation split fell
    far, or most of the classes are never predicted any more. Neither shows that an adaptation helped.

    Args:
        source_val: The adapted model's accuracy on the source's validation split.
        source_val_before: The source-only model's.
        target: The adapted model's probabilities on the target ``(n, k)``.
        lost: How much of that accuracy may be lost.
    """
    if source_val < source_val_before - lost:
        return f"accuracy on the source fell from {source_val_before:.3f} to {source_val:.3f}"
    k = target.shape[1]
    used = len(np.unique(target.argmax(1)))
    if len(target) >= 10 * k and used <= max(1, k // 3):
        return f"it predicts only {used} of {k} classes on the target"
    return ""


def flattened(
    source_val: float,
    source_val_before: float,
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    *,
    lost: float = LOST,
) -> str:
    """Why the adapted model of numbers is not to be kept; empty if nothing speaks against it.

    As with `collapsed`: R² on the source's own validation split fell far, or about the same number is predicted for all
    of the target.

    Args:
        source_val: The adapted model's R² on the source's validation split.
        source_val_before: The source-only model's.
        source: The adapted model's predictions on that split ``(n_s,)``.
        target: Its predictions on the target ``(n_t,)``.
        lost: How much of that R² may be lost.
    """
    if source_val < source_val_before - lost:
        return f"R² on the source fell from {source_val_before:.3f} to {source_val:.3f}"
    if len(target) > 1 and target.std() < FLAT * source.std():
        return f"it predicts about the same for all of the target ({target.min():.4g} to {target.max():.4g})"
    return ""
