"""Metrics: they need labels."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from acclimate.errors import BadInput, did_you_mean

Probabilities = NDArray[np.float64]


def scores(
    probabilities: Probabilities, labels: NDArray[np.int64], positive: Sequence[int] = ()
) -> dict[str, float | None]:
    """Accuracy, F1 (mean over the classes that occur), log loss and `auc` of ``probabilities (n, k)``, ``labels (n,)``.

    Example:
        >>> scores(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1]))
        {'accuracy': 1.0, 'f1': 1.0, 'log_loss': 0.366985, 'auc': 1.0}
    """
    of_truth = probabilities[np.arange(len(labels)), labels].clip(1e-15)
    area = auc(probabilities, labels, positive)
    return {
        "accuracy": round(float((probabilities.argmax(1) == labels).mean()), 6),
        "f1": round(float(np.nanmean(f1_by_class(probabilities, labels))), 6),
        "log_loss": round(float(-np.log(of_truth).mean()), 6),
        "auc": None if np.isnan(area) else round(area, 6),
    }


def f1_by_class(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each class ``(k,)``; NaN of one that neither occurs nor is predicted."""
    k = probabilities.shape[1]
    return np.asarray(
        f1_score(labels, probabilities.argmax(1), labels=range(k), average=None, zero_division=np.nan), dtype=np.float64
    )


def auc(probabilities: Probabilities, labels: NDArray[np.int64], positive: Sequence[int] = ()) -> float:
    r"""Area under the ROC curve: how often an example of one side is given more of it than one of the other.

    With ``positive`` classes :math:`P` an example's score is :math:`\sum_{c \in P} p_c`, and the other classes are
    the other side. Without, it is the mean over the classes that occur, each against the rest; of two classes both
    are the same area.

    Args:
        probabilities: Of each class, ``(n, k)``.
        labels: True classes ``(n,)``.
        positive: The classes that are positive together.

    Returns:
        A number in [0, 1]; NaN where all examples are of one side.

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


def _area(is_positive: NDArray[np.bool_], said: NDArray[np.float64]) -> float:
    return float(roc_auc_score(is_positive, said)) if 0 < is_positive.sum() < len(is_positive) else float("nan")


def all_scores(
    probabilities: Probabilities, labels: NDArray[np.int64], classes: Sequence[str], positive: Sequence[str] = ()
) -> dict[str, Any]:
    """`scores`, and under ``f1_by_class`` F1 of each class; ``positive`` are names of ``classes``."""
    codes = [i for i, name in enumerate(classes) if name in positive]
    found = scores(probabilities, labels, codes)
    return {**found, "f1_by_class": by_name(f1_by_class(probabilities, labels), classes)}


def by_name(values: NDArray[np.float64], classes: Sequence[str]) -> dict[str, float | None]:
    """A value of each class ``(k,)``, under its name and as JSON can hold it: NaN becomes none.

    Example:
        >>> by_name(np.array([0.5, np.nan]), ("cat", "dog"))
        {'cat': 0.5, 'dog': None}
    """
    return {c: None if np.isnan(v) else round(float(v), 6) for c, v in zip(classes, values, strict=True)}


def check_positive(positive: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse positive classes of which no `auc` can be told.

    Raises:
        BadInput: One is no class, or they are all classes there are.
    """
    for name in positive:
        if name not in classes:
            raise BadInput(f"--positive: {name!r} is no class of the source; {did_you_mean(name, classes)}")
    if positive and not set(classes) - set(positive):
        raise BadInput("--positive: names all classes, and some must be negative; leave one out")


def errors(predicted: NDArray[np.float64], numbers: NDArray[np.float64]) -> dict[str, float]:
    r"""How far predicted numbers ``(n,)`` are from the true ones: MAE, RMSE and R².

    .. math::
        \frac{1}{n} \sum_i |\hat y_i - y_i|, \qquad
        \sqrt{\frac{1}{n} \sum_i (\hat y_i - y_i)^2}, \qquad
        1 - \frac{\sum_i (\hat y_i - y_i)^2}{\sum_i (y_i - \bar y)^2}

    MAE and RMSE are in the unit of the labels. R² is 0 for who always says the mean of these very labels and lower
    for who does worse; where all labels are the same it is 1 for no error and else 0.

    Example:
        >>> errors(np.array([1.0, 4.0]), np.array([1.0, 3.0]))
        {'mae': 0.5, 'rmse': 0.707107, 'r2': 0.5}
    """
    off = predicted - numbers
    squares, spread = float((off**2).sum()), float(((numbers - numbers.mean()) ** 2).sum())
    return {
        "mae": _rounded(float(np.abs(off).mean())),
        "rmse": _rounded((squares / len(off)) ** 0.5),
        "r2": _rounded(1 - squares / spread if spread else float(not squares)),
    }


def _rounded(value: float) -> float:
    """To six significant digits, since labels may have any unit."""
    return float(f"{value:.6g}")


def mean_over_seeds(of_seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean of each metric and, under ``…_sd``, its standard deviation if there are several seeds.

    Where a metric is none in some seeds, it is over the others; ``f1_by_class`` has a mean for each class.
    """
    values = {name: [s[name] for s in of_seeds] for name in of_seeds[0]}
    means = {name: _over_seeds(v, np.mean, 1) for name, v in values.items()}
    if len(of_seeds) > 1:
        means |= {f"{name}_sd": _over_seeds(v, partial(np.std, ddof=1), 2) for name, v in values.items()}
    return means


def _over_seeds(values: Sequence[Any], how: Callable[[Sequence[float]], Any], least: int) -> Any:
    if isinstance(values[0], Mapping):
        return {name: _over_seeds([v[name] for v in values], how, least) for name in values[0]}
    known = [v for v in values if v is not None]
    return round(float(how(known)), 6) if len(known) >= least else None


def mean_errors(of_seeds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each of `errors`, and its standard deviation if there are several seeds."""
    values = {name: [s[name] for s in of_seeds] for name in of_seeds[0]}
    means = {name: _rounded(float(np.mean(v))) for name, v in values.items()}
    spreads = {f"{name}_sd": _rounded(float(np.std(v, ddof=1))) for name, v in values.items() if len(v) > 1}
    return means | spreads


def confusion(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts ``(k, k)``: rows are true classes, columns predicted ones."""
    k = probabilities.shape[1]
    matrix: NDArray[np.int64] = confusion_matrix(labels, probabilities.argmax(1), labels=range(k))
    return matrix


def recalls(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each class that is found ``(k,)``; NaN where a class does not occur."""
    counts = confusion(probabilities, labels)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts.diagonal() / counts.sum(1))
