"""Checks whether an adaptation has broken the model, so that a Run falls back to source-only."""

import numpy as np
from numpy.typing import NDArray

LOST = 0.1
"""Accuracy or R² on the source's validation split that an adaptation may lose."""
ERRORS = 2
"""Standard errors that a loss must exceed, so that few examples do not prove a collapse."""
FLAT = 0.05
"""Smallest standard deviation of the predictions on the target, as a fraction of that on the source."""


def collapsed(
    before: NDArray[np.float64], after: NDArray[np.float64], target: NDArray[np.float64], *, lost: float = LOST
) -> str:
    """Return the reason to reject the adapted model; empty if there is none.

    Two signs need no labels of the target: accuracy on the source's validation split falls by more than ``lost`` and
    by more than chance, or the model no longer predicts most of the classes. Neither shows that an adaptation helps.

    Args:
        before: For each seed and example of the source's validation split, 1 if the source-only model is wrong, else 0
            ``(seeds, n_s)``.
        after: The same for the adapted model.
        target: The adapted model's probabilities on the target ``(n_t, k)``.
        lost: Accuracy that may be lost.
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
    """Return the reason to reject the adapted model of a regression; empty if there is none.

    Like `collapsed`: R² on the source's validation split falls by more than ``lost`` and by more than chance, or the
    model predicts about the same number for all of the target.

    Args:
        before: For each seed and example of the source's validation split, the source-only model's squared error over
            the variance of the true numbers ``(seeds, n_s)``; R² is 1 minus its mean.
        after: The same for the adapted model.
        source: The adapted model's predictions on that split ``(n_s,)``.
        target: Its predictions on the target ``(n_t,)``.
        lost: R² that may be lost.
    """
    if _fell(before, after, lost):
        return f"R² on the source fell from {1 - before.mean():.3f} to {1 - after.mean():.3f}"
    if len(target) > 1 and target.std() < FLAT * source.std():
        return f"it predicts nearly the same number for the whole target ({target.min():.4g} to {target.max():.4g})"
    return ""


def _fell(before: NDArray[np.float64], after: NDArray[np.float64], lost: float) -> bool:
    """Whether the mean loss rises by more than ``lost`` and by more than chance.

    Seeds may share examples, so the standard error counts all seeds as one. It limits the standard deviation to 1, the
    most that a loss of 0 or 1 can have: a prediction that explodes is not chance.
    """
    more = after - before
    n = more.shape[1]
    return bool(n > 1 and more.mean() > max(lost, ERRORS * min(more.std(), 1) / np.sqrt(n)))
