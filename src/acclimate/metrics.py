"""Metrics of predictions against labels; scikit-learn is imported when one is computed, as it takes a second."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, SupportsFloat, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from acclimate.contents import ClassScores, ClassSummary, NumberMeasure, NumberScores, Scored
from acclimate.errors import BadInput, did_you_mean

Probabilities = NDArray[np.float64]
LEVEL = 0.95
"""How often an interval is to contain the true value."""
MANY = 20_000
"""Examples above which a bootstrapped mean is taken as normal."""
NUMBER_MEASURES: tuple[NumberMeasure, ...] = ("mae", "rmse", "r2")


def scores(probabilities: Probabilities, labels: NDArray[np.int64], positive: Sequence[int] = ()) -> ClassSummary:
    """Accuracy, macro F1, log loss and `auc` of ``probabilities (n, k)`` against ``labels (n,)``.

    F1 is the mean over the classes that occur or are predicted.

    Example:
        >>> scores(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1]))
        {'accuracy': 1.0, 'f1': 1.0, 'log_loss': 0.366985, 'auc': 1.0}
    """
    of_true_class = probabilities[np.arange(len(labels)), labels].clip(1e-15)
    area = auc(probabilities, labels, positive)
    return {
        "accuracy": round(float((probabilities.argmax(1) == labels).mean()), 6),
        "f1": round(float(np.nanmean(f1_by_class(probabilities, labels))), 6),
        "log_loss": round(float(-np.log(of_true_class).mean()), 6),
        "auc": None if np.isnan(area) else round(area, 6),
    }


def f1_by_class(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each class ``(k,)``; NaN for a class that neither occurs nor is predicted."""
    from sklearn.metrics import f1_score

    k = probabilities.shape[1]
    return np.asarray(
        f1_score(labels, probabilities.argmax(1), labels=range(k), average=None, zero_division=np.nan), dtype=np.float64
    )


def auc(probabilities: Probabilities, labels: NDArray[np.int64], positive: Sequence[int] = ()) -> float:
    r"""Area under the ROC curve: how often a positive example scores higher than a negative one.

    With ``positive`` classes :math:`P`, an example's score is :math:`\sum_{c \in P} p_c`, and all other classes are
    negative. Without them, it is the mean of one-vs-rest areas over the classes that occur; with two classes, both
    areas are the same.

    Args:
        probabilities: Probabilities of the classes, ``(n, k)``.
        labels: True classes ``(n,)``.
        positive: The classes that count as positive together.

    Returns:
        A number in [0, 1]; NaN if all examples are positive or all are negative.

    Reference:
        Fawcett, An Introduction to ROC Analysis, Pattern Recognition Letters 2006, doi:10.1016/j.patrec.2005.10.010

    Example:
        >>> auc(np.array([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.3, 0.4, 0.3]]), np.array([0, 2, 1]), positive=[1, 2])
        1.0
    """
    if len(positive):
        return _area(np.isin(labels, positive), probabilities[:, list(positive)].sum(1))
    occur = np.unique(labels)
    if len(occur) < 2:
        return float("nan")
    return float(np.mean([_area(labels == c, probabilities[:, c]) for c in occur]))


def _area(is_positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_positive, score)) if 0 < is_positive.sum() < len(is_positive) else float("nan")


def all_scores(
    probabilities: Probabilities, labels: NDArray[np.int64], classes: Sequence[str], positive: Sequence[str] = ()
) -> ClassScores:
    """`scores`, with F1 of each class under ``f1_by_class``; ``positive`` are names out of ``classes``."""
    codes = [i for i, name in enumerate(classes) if name in positive]
    found = scores(probabilities, labels, codes)
    return {**found, "f1_by_class": by_name(f1_by_class(probabilities, labels), classes)}


def by_name(values: NDArray[np.float64], classes: Sequence[str]) -> dict[str, float | None]:
    """Map each class name to its value out of ``values (k,)``; NaN becomes None, since JSON has no NaN.

    Example:
        >>> by_name(np.array([0.5, np.nan]), ("cat", "dog"))
        {'cat': 0.5, 'dog': None}
    """
    return {c: None if np.isnan(v) else round(float(v), 6) for c, v in zip(classes, values, strict=True)}


def check_positive(positive: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse positive classes for which `auc` is undefined.

    Raises:
        BadInput: A name is not a class, or every class is positive.
    """
    for name in positive:
        if name not in classes:
            raise BadInput(f"--positive: {name!r} is not a class of the source; {did_you_mean(name, classes)}")
    if positive and not set(classes) - set(positive):
        raise BadInput("--positive: lists every class, so none is negative; leave at least one out")


def errors(predicted: NDArray[np.float64], numbers: NDArray[np.float64]) -> NumberScores:
    r"""MAE, RMSE and R² of predicted numbers ``(n,)`` against the true ``numbers (n,)``.

    .. math::
        \frac{1}{n} \sum_i |\hat y_i - y_i|, \qquad
        \sqrt{\frac{1}{n} \sum_i (\hat y_i - y_i)^2}, \qquad
        1 - \frac{\sum_i (\hat y_i - y_i)^2}{\sum_i (y_i - \bar y)^2}

    MAE and RMSE are in the unit of the labels. A model that always predicts the mean of these labels has an R² of 0,
    and a worse one has less. If all labels are the same, R² is 1 without any error and 0 otherwise.

    Example:
        >>> errors(np.array([1.0, 4.0]), np.array([1.0, 3.0]))
        {'mae': 0.5, 'rmse': 0.707107, 'r2': 0.5}
    """
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    # scikit-learn leaves R² of a single label undefined
    r2 = r2_score(numbers, predicted) if len(numbers) > 1 else float(predicted[0] == numbers[0])
    return {
        "mae": _rounded(mean_absolute_error(numbers, predicted)),
        "rmse": _rounded(root_mean_squared_error(numbers, predicted)),
        "r2": _rounded(r2),
    }


def _rounded(value: float) -> float:
    """Round to six significant digits, since labels may have any unit."""
    return float(f"{value:.6g}")


def mean_over_seeds(of_seeds: Sequence[Mapping[str, object]]) -> Scored:
    """Mean of each metric and, with several seeds, its standard deviation under ``…_sd``.

    Seeds in which a metric is None are left out of it; ``f1_by_class`` has a mean for each class.
    """
    values = {name: [s[name] for s in of_seeds] for name in of_seeds[0]}
    means = {name: _over_seeds(v, np.mean, 1) for name, v in values.items()}
    if len(of_seeds) > 1:
        means |= {f"{name}_sd": _over_seeds(v, partial(np.std, ddof=1), 2) for name, v in values.items()}
    return cast("Scored", means)  # its names are computed


def _over_seeds(
    values: Sequence[object], how: Callable[[Sequence[float]], SupportsFloat], least: int
) -> float | dict[str, object] | None:
    """A number for numbers; for the values of classes, a number for each class."""
    if by_class := [v for v in values if isinstance(v, Mapping)]:
        return {name: _over_seeds([v[name] for v in by_class], how, least) for name in by_class[0]}
    known = [v for v in values if isinstance(v, int | float)]
    return round(float(how(known)), 6) if len(known) >= least else None


def mean_errors(of_seeds: Sequence[Mapping[str, object]]) -> Scored:
    """Mean of each of `errors` and, with several seeds, its standard deviation under ``…_sd``."""
    values = {name: [float(cast("float", s[name])) for s in of_seeds] for name in NUMBER_MEASURES}
    means = {str(name): _rounded(float(np.mean(v))) for name, v in values.items()}
    spreads = {f"{name}_sd": _rounded(float(np.std(v, ddof=1))) for name, v in values.items() if len(v) > 1}
    return cast("Scored", means | spreads)  # its names are computed


def confusion(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts ``(k, k)``: rows are true classes, columns are predicted classes."""
    from sklearn.metrics import confusion_matrix

    k = probabilities.shape[1]
    matrix: NDArray[np.int64] = confusion_matrix(labels, probabilities.argmax(1), labels=range(k))
    return matrix


def recalls(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Recall of each class ``(k,)``; NaN for a class that does not occur."""
    counts = confusion(probabilities, labels)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts.diagonal() / counts.sum(1))


class Reliability(NamedTuple):
    """How often predictions of about the same confidence are right, by bin; bins without an example are left out.

    Attributes:
        confidence: Mean probability of the predicted class ``(bins,)``.
        accuracy: Share that is right ``(bins,)``.
        counts: Examples ``(bins,)``.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of confidence from accuracy, weighted by examples."""
        apart = np.abs(self.confidence - self.accuracy)
        return float(np.average(apart, weights=self.counts)) if len(apart) else float("nan")


def reliability(probabilities: Probabilities, labels: NDArray[np.int64], bins: int = 10) -> Reliability:
    r"""Return confidence and accuracy in bins of equal width, and from them the expected calibration error.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \, |\mathrm{acc}(b) - \mathrm{conf}(b)|

    Args:
        probabilities: Of each class ``(n, k)``.
        labels: True classes ``(n,)``.
        bins: Of the confidence, from 0 to 1.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017. arXiv:1706.04599

    Example:
        >>> round(reliability(np.array([[0.9, 0.1], [0.92, 0.08]]), np.array([0, 1])).error, 2)
        0.41
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    at = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(at, minlength=bins)
    filled = counts > 0
    sums = (np.bincount(at, weights=values, minlength=bins)[filled] for values in (confidence, right))
    means = [total / counts[filled] for total in sums]
    return Reliability(means[0], means[1], counts[filled])


class Interval(NamedTuple):
    """The bounds of a 95 % interval."""

    low: float
    high: float


def wilson(share: float, n: float, *, level: float = LEVEL) -> Interval:
    r"""Interval of a share that was measured on ``n`` examples, or on an effective number of them.

    .. math::
        \frac{\hat p + z^2 / 2n \pm z \sqrt{\hat p (1 - \hat p) / n + z^2 / 4n^2}}{1 + z^2 / n}

    Reference:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 1927, doi:10.2307/2276774

    Example:
        >>> [round(bound, 3) for bound in wilson(13 / 14, 14)]
        [0.685, 0.987]
    """
    z = float(ndtri((1 + level) / 2))
    middle, reach = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(max(0.0, (middle - reach) / (1 + z**2 / n)), min(1.0, (middle + reach) / (1 + z**2 / n)))


def accuracy_interval(gains: NDArray[np.float64], *, draws: int = 1000, seed: int = 0) -> Interval:
    """Paired interval of a difference in accuracy: `paired_interval` with one example more of each sign.

    With these two, few examples on which the models differ do not look like certainty.

    Args:
        gains: 1 where only the second model is right, −1 where only the first is, else 0 ``(seeds, n)``.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Reference:
        Bonett and Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired
        Data, Journal of Educational and Behavioral Statistics 2012, doi:10.3102/1076998611411915
    """
    extra = np.tile([1.0, -1.0], (len(gains), 1))
    low, high = paired_interval(np.hstack([gains, extra]), draws=draws, seed=seed)
    return Interval(max(low, -1.0), min(high, 1.0))


def paired_interval(differences: NDArray[np.float64], *, draws: int = 1000, seed: int = 0) -> Interval:
    r"""Interval of the mean of differences ``(seeds, n)`` between two models, over examples and seeds.

    A bootstrap draws examples, each with all its seeds. Seeds are too few to be drawn: of three, resampling covers the
    true mean three times in four at most. So each draw adds a value of Student's t distribution with the standard
    error of the means of the seeds. With one seed, the interval is of the examples alone.

    Args:
        differences: For each seed and example, at least two examples.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, doi:10.1201/9780429246593
    """
    rng = np.random.default_rng(seed)
    means = _bootstrapped_means(differences.mean(0), draws, rng)
    if (n_seeds := len(differences)) > 1:
        quantiles = stdtrit(n_seeds - 1, (np.arange(draws) + 0.5) / draws)
        means += rng.permutation(quantiles) * differences.mean(1).std(ddof=1) / math.sqrt(n_seeds)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def _bootstrapped_means(values: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of resampled values ``(n,)``, spread as Student's t asks of few values ``(draws,)``."""
    n = len(values)
    if n > MANY:
        normal = rng.permutation(ndtri((np.arange(draws) + 0.5) / draws))
        return np.asarray(values.mean() + normal * values.std() / math.sqrt(n))
    parts = np.array_split(np.arange(draws), math.ceil(draws * n / 10**6))
    means = np.concatenate([values[rng.integers(n, size=(len(part), n), dtype=np.int32)].mean(1) for part in parts])
    wider = stdtrit(n - 1, (1 + LEVEL) / 2) / ndtri((1 + LEVEL) / 2) * math.sqrt(n / (n - 1))
    return np.asarray(values.mean() + wider * (means - values.mean()))
