"""Whether an adaptation has broken the model: the guard that falls back to source-only."""

import numpy as np
from numpy.typing import NDArray

LOST = 0.1
"""Accuracy, or R², on the source's validation split that an adaptation may cost."""
ERRORS = 2
"""Standard errors by which it must have cost more than nothing, so that few examples prove no collapse."""
FLAT = 0.05
"""How much predictions on the target must vary at least, as a share of how much they do on the source."""


def collapsed(
    before: NDArray[np.float64], after: NDArray[np.float64], target: NDArray[np.float64], *, lost: float = LOST
) -> str:
    """Why the adapted model is not to be kept; empty if nothing speaks against it.

    Two signs are read without labels of the target: the accuracy on the source's own validation split fell
    far, by more than ``lost`` and by more than chance among so few examples, or most of the classes are never
    predicted any more. Neither shows that an adaptation helped.

    Args:
        before: Of each seed and example of the source's validation split, 1 if the source-only model is wrong, else 0
            ``(seeds, n_s)``.
        after: The same of the adapted model.
        target: The adapted model's probabilities on the target ``(n_t, k)``.
        lost: How much of that accuracy may be lost.
    """
    if _fell(before, after, lost):
        return f"accuracy on the source fell from {1 - before.mean():.3f} to {1 - after.mean():.3f}"
    k = target.shape[1]
    used = len(np.unique(target.argmax(1)))
    if len(target) >= 10 * k and used <= max(1, k // 3):
        return f"it predicts only {used} of {k} classes on the target"
    return ""


def flattened(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    *,
    lost: float = LOST,
) -> str:
    """Why the adapted model of numbers is not to be kept; empty if nothing speaks against it.

    As with `collapsed`: R² on the source's own validation split fell far, or about the same number is predicted for all
    of the target.

    Args:
        before: Of each seed and example of the source's validation split, the source-only model's squared error over
            the variance of the true numbers ``(seeds, n_s)``, of which 1 minus the mean is R².
        after: The same of the adapted model.
        source: The adapted model's predictions on that split ``(n_s,)``.
        target: Its predictions on the target ``(n_t,)``.
        lost: How much of that R² may be lost.
    """
    if _fell(before, after, lost):
        return f"R² on the source fell from {1 - before.mean():.3f} to {1 - after.mean():.3f}"
    if len(target) > 1 and target.std() < FLAT * source.std():
        return f"it predicts about the same for all of the target ({target.min():.4g} to {target.max():.4g})"
    return ""


def _fell(before: NDArray[np.float64], after: NDArray[np.float64], lost: float) -> bool:
    """Whether the mean loss rose by more than ``lost``, and by more than chance.

    Seeds may share their examples, so that all of them together count as one where chance is measured. A loss is taken
    to vary by no more than 1, the most it can where it is right or wrong: a number that explodes is not chance.
    """
    more = after - before
    n = more.shape[1]
    return bool(n > 1 and more.mean() > max(lost, ERRORS * min(more.std(), 1) / np.sqrt(n)))
