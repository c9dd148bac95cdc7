"""Accuracy on the target from a few labels of it that are used for nothing else."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from acclimate.errors import BadInput
from acclimate.metrics import LEVEL, Interval, paired_interval, wilson
from acclimate.validators.estimate.cot import apportioned

Vector = NDArray[np.float64]

FOLDS = 5
"""Parts of the labelled examples; the coefficient that is used on one comes from the others."""
FEWEST_OF_EACH = 5
"""Right and wrong examples below which their correlation with anything is not trusted."""
FEWEST_OF_A_CLASS = 2
"""Examples that a stratified draw takes of each predicted class, if there are as many."""


class Audit(NamedTuple):
    """An accuracy that labels of the target show.

    Attributes:
        accuracy: The estimate.
        low: Lower bound of the 95 % interval.
        high: Upper bound.
        n: Labelled examples.
        how: ``"wilson"``, ``"prediction_powered"`` or ``"stratified"``.
    """

    accuracy: float
    low: float
    high: float
    n: int
    how: str


def labels_needed(half_width: float, *, share: float = 0.5, level: float = LEVEL) -> int:
    """How many random labels give a Wilson interval of this half-width.

    Args:
        half_width: Half of the interval's width, in (0, 0.5).
        share: The accuracy that is expected; 0.5 needs the most labels.
        level: How often the interval is to contain the truth.

    Raises:
        BadInput: The half-width is not between 0 and 0.5.

    Example:
        >>> labels_needed(0.1), labels_needed(0.03), labels_needed(0.1, share=0.95)
        (93, 1064, 25)
    """
    if not 0 < half_width < 0.5:
        raise BadInput(f"audit: the half-width must lie between 0 and 0.5, not {half_width}")
    z2, w2 = float(ndtri((1 + level) / 2)) ** 2, half_width**2
    b, c = z2 * (2 * w2 - share * (1 - share)), z2**2 * (w2 - 0.25)  # w² n² + b n + c = 0
    return max(1, math.ceil((-b + math.sqrt(b * b - 4 * w2 * c)) / (2 * w2) - 1e-9))


def ask(n: int, k: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Draw which examples to label, all with the same chance; the first of them are such a draw, too.

    Args:
        n: Examples of the target.
        k: Labels to ask for.
        seed: Seed of the draw.

    Returns:
        Rows ``(k,)`` in random order.

    Raises:
        BadInput: There are fewer examples than labels asked for, or none is asked for.
    """
    _check_asked(n, k)
    return np.asarray(np.random.default_rng(seed).permutation(n)[:k])


def ask_by_class(predicted: NDArray[np.int64], k: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Draw which examples to label from each predicted class, in proportion, with two of each at least.

    Rare predicted classes are then seen for sure. `audit_by_class` is the estimator of this draw; a plain mean is not.

    Args:
        predicted: Predicted class of each target example ``(n,)``.
        k: Labels to ask for.
        seed: Seed of the draw.

    Returns:
        Rows ``(k,)``, ascending.

    Raises:
        BadInput: There are fewer examples than labels asked for, or fewer labels than two for each predicted class.
    """
    _check_asked(len(predicted), k)
    _, stratum, sizes = np.unique(predicted, return_inverse=True, return_counts=True)
    least = np.minimum(sizes, FEWEST_OF_A_CLASS)
    if least.sum() > k:
        raise BadInput(f"--ask: {len(sizes)} predicted classes need {least.sum()} labels, not {k}; ask for more")
    counts, rng = _allotted(sizes, least, k), np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(stratum == h))[:count] for h, count in enumerate(counts)]
    return np.sort(np.concatenate(drawn))


def _check_asked(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise BadInput(f"--ask: the target has {n} examples; ask for 1 to {n} labels, not {k}")


def _allotted(sizes: NDArray[np.int64], least: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Counts that sum to ``k``, in proportion where the least and the sizes allow."""
    counts = np.minimum(np.maximum(apportioned(sizes.astype(np.float64), k), least), sizes)
    while (excess := int(counts.sum()) - k) > 0:
        counts[int(np.argmax((counts > least) * counts / sizes))] -= 1
    while excess < 0:
        counts[int(np.argmax((counts < sizes) * (1 - counts / sizes)))] += 1
        excess += 1
    return counts


def audit(right: NDArray[np.bool_]) -> Audit:
    """Accuracy of a uniform draw, with the Wilson interval.

    Args:
        right: Whether the model is right on each labelled example ``(n,)``.

    Raises:
        BadInput: There are no labels.
    """
    if right.ndim != 1 or not len(right):
        raise BadInput("--audit: no labelled examples; add some")
    share = float(right.mean())
    return Audit(share, *wilson(share, len(right)), len(right), "wilson")


def prediction_powered(
    right: NDArray[np.bool_], guess: NDArray[np.float64], rest: NDArray[np.float64], *, seed: int = 0
) -> Audit:
    r"""Accuracy from labels and guesses: the labels correct the mean guess, if they show that guesses are worth it.

    .. math::
        \hat\theta = \frac1n \sum_i (y_i - \hat\lambda f_i) + \hat\lambda \bar f_{\mathrm{rest}}, \qquad
        \hat\lambda = \frac{\widehat{\mathrm{cov}}(y, f)}{(1 + n / N) \, \widehat{\mathrm{var}}(f)}

    Each fold of the labelled examples has the coefficient of the others. The guesses are used only if their
    cross-fitted correlation with being right is above :math:`1 / \sqrt{n - 2}`, the least that improves on the labels
    alone; otherwise this is `audit`. The interval is Wilson's, with the number of labels that would have the same
    variance.

    Args:
        right: Whether the model is right on each labelled example ``(n,)``, a uniform draw.
        guess: What else foretells that it is right on these examples, e.g. its confidence or the share of independent
            models that agree with it ``(n,)``.
        rest: The same for the examples without labels ``(N,)``.
        seed: Seed of the folds.

    Raises:
        BadInput: There are no labels, or the guesses do not fit.

    Reference:
        Angelopoulos et al., Prediction-Powered Inference, Science 2023, arXiv:2301.09633; PPI++: Efficient
        Prediction-Powered Inference, arXiv:2311.01453. When it pays: Mani et al., No Free Lunch: Non-Asymptotic
        Analysis of Prediction-Powered Inference, arXiv:2505.20178
    """
    plain = audit(right)
    if guess.shape != right.shape or not (np.isfinite(guess).all() and np.isfinite(rest).all()):
        raise BadInput(f"--audit: {len(right)} labels need as many finite guesses, not {guess.shape}")
    if min(right.sum(), (~right).sum()) < FEWEST_OF_EACH or not len(rest):
        return plain
    y = right.astype(np.float64)
    fold = np.random.default_rng(seed).permutation(len(y)) % FOLDS
    if correlation(y, guess, fold) <= 1 / math.sqrt(len(y) - 2):
        return plain
    slopes = _of_folds(_slope, y, guess, fold) / (1 + len(y) / len(rest))
    corrected = y - slopes * (guess - rest.mean())
    variance = corrected.var(ddof=1) / len(y) + (slopes**2).mean() * rest.var() / len(rest)
    point = float(corrected.mean())
    if not 0 < point < 1:
        return plain
    equal = point * (1 - point) / max(float(variance), 1e-12)
    return Audit(point, *wilson(point, equal), len(y), "prediction_powered") if equal > len(y) else plain


def correlation(y: NDArray[np.float64], guess: NDArray[np.float64], fold: NDArray[np.int64]) -> float:
    r"""Cross-fitted correlation: :math:`\sqrt{R^2}` of a line fitted without the fold that it predicts; 0 if R² < 0."""
    slopes, means, centres = (_of_folds(how, y, guess, fold) for how in (_slope, _mean, _centre))
    left = y - means - slopes * (guess - centres)
    return math.sqrt(max(0.0, 1 - float((left**2).sum() / ((y - means) ** 2).sum())))


def _of_folds(how: Callable[[Vector, Vector], float], y: Vector, guess: Vector, fold: NDArray[np.int64]) -> Vector:
    """A number for each example, from the examples of the other folds ``(n,)``."""
    values = np.array([how(y[fold != f], guess[fold != f]) for f in range(FOLDS)])
    return np.asarray(values[fold])


def _slope(y: Vector, guess: Vector) -> float:
    apart = guess - guess.mean()
    return float(apart @ y / max(float(apart @ apart), 1e-12))


def _mean(y: Vector, guess: Vector) -> float:
    return float(y.mean())


def _centre(y: Vector, guess: Vector) -> float:
    return float(guess.mean())


def audit_by_class(right: NDArray[np.bool_], predicted: NDArray[np.int64], of_all: NDArray[np.int64]) -> Audit:
    r"""Accuracy of a draw of `ask_by_class`: each predicted class counts with its share of the target.

    .. math:: \hat\theta = \sum_h W_h \bar y_h, \qquad
        \widehat{\mathrm{var}} = \sum_h W_h^2 \, \tilde p_h (1 - \tilde p_h) / n_h, \qquad
        \tilde p_h = \frac{n_h \bar y_h + 1}{n_h + 2}

    The interval is Wilson's, with the number of labels that would have the same variance. The smoothed shares keep a
    class of two right examples from looking certain.

    Args:
        right: Whether the model is right on each labelled example ``(n,)``.
        predicted: Its predicted class for each of them ``(n,)``.
        of_all: Its predicted class for each target example ``(N,)``.

    Raises:
        BadInput: A predicted class has no labelled example.

    Reference:
        Cochran, Sampling Techniques, 1977, chapter 5.
    """
    classes, counts = np.unique(of_all, return_counts=True)
    n = np.array([(predicted == c).sum() for c in classes])
    if not len(n) or not n.all():
        raise BadInput("--audit: a predicted class has no label; label the examples that --ask wrote")
    sums = np.array([right[predicted == c].sum() for c in classes])
    weights, smooth = counts / len(of_all), (sums + 1) / (n + 2)
    variance = float((weights**2 * smooth * (1 - smooth) / n).sum())
    level = float(weights @ smooth)
    point = min(1.0, float(weights @ (sums / n)))
    return Audit(point, *wilson(point, level * (1 - level) / variance), len(right), "stratified")


class NumbersAudit(NamedTuple):
    """Errors of a regression with 95 % intervals; R² is None if all labels are the same."""

    mae: float
    mae_interval: Interval
    r2: float | None
    r2_interval: Interval | None
    n: int


def audit_numbers(
    predicted: NDArray[np.float64], numbers: NDArray[np.float64], *, draws: int = 2000, seed: int = 0
) -> NumbersAudit:
    """Mean absolute error and R² of a uniform draw, with bootstrap intervals.

    Args:
        predicted: Predicted numbers ``(n,)``.
        numbers: True ones ``(n,)``.
        draws: Bootstrap draws.
        seed: Their seed.

    Raises:
        BadInput: There are fewer than two labels, or the shapes differ.
    """
    if numbers.shape != predicted.shape or numbers.ndim != 1 or len(numbers) < 2:
        raise BadInput(f"--audit: two labels or more, one for each prediction, not {numbers.shape}")
    errors = np.abs(predicted - numbers)
    mae_interval = paired_interval(errors[None], draws=draws, seed=seed)
    mae_interval = Interval(max(0.0, mae_interval.low), mae_interval.high)
    if np.ptp(numbers) == 0:
        return NumbersAudit(float(errors.mean()), mae_interval, None, None, len(numbers))
    i = np.random.default_rng(seed).integers(len(numbers), size=(draws, len(numbers)))
    i = i[np.ptp(numbers[i], axis=1) > 0]
    low, high = np.quantile(_r2(predicted[i], numbers[i]), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    r2 = float(_r2(predicted[None], numbers[None])[0])
    return NumbersAudit(
        float(errors.mean()), mae_interval, r2, Interval(float(min(low, r2)), float(max(high, r2))), len(numbers)
    )


def _r2(predicted: NDArray[np.float64], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """R² of each row."""
    return np.asarray(1 - ((predicted - numbers) ** 2).mean(1) / numbers.var(1))
