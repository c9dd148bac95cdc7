"""Metrics: they need labels."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score

Probabilities = NDArray[np.float64]


def scores(probabilities: Probabilities, labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, F1 (mean over the classes that occur) and log loss of ``probabilities (n, k)``, ``labels (n,)``.

    Example:
        >>> scores(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1]))
        {'accuracy': 1.0, 'f1': 1.0, 'log_loss': 0.366985}
    """
    predicted = probabilities.argmax(1)
    of_truth = probabilities[np.arange(len(labels)), labels].clip(1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = f1_score(labels, predicted, average="macro", zero_division=0.0)
    return {
        "accuracy": round(float((predicted == labels).mean()), 6),
        "f1": round(float(f1), 6),
        "log_loss": round(float(-np.log(of_truth).mean()), 6),
    }


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


def mean_over_seeds(of_seeds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric, and the standard deviation of the accuracy if there are several seeds."""
    means = {name: round(float(np.mean([s[name] for s in of_seeds])), 6) for name in of_seeds[0]}
    if len(of_seeds) > 1:
        means["accuracy_sd"] = round(float(np.std([s["accuracy"] for s in of_seeds], ddof=1)), 6)
    return means


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
