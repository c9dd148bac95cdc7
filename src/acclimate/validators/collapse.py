"""Whether an adaptation has broken the model: the guard that falls back to source-only."""

import numpy as np
from numpy.typing import NDArray

LOST = 0.1
"""Accuracy on the source's validation split that an adaptation may cost."""


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
