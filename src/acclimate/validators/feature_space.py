"""Classifiers and samples in the space of a candidate's features."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acclimate.validators.candidate import Codes, Numbers

MOST_ROWS = 2000
"""Rows that a validator with a cost quadratic in them looks at."""
STRENGTH = 0.01
"""Inverse regularisation of logistic regressions: strong, since features are many and examples few."""


def unit_rows(x: Numbers) -> Numbers:
    """Rows of ``x (n, d)`` divided by their lengths; rows of zeros stay."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(lengths > 0, lengths, 1))


def some_rows(n: int, *, most: int = MOST_ROWS, seed: int = 0) -> Codes:
    """Up to ``most`` of ``n`` rows drawn at random without replacement, in ascending order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def half(n: int, *, seed: int = 0) -> NDArray[np.bool_]:
    """Whether each of ``n`` rows is in a random half of them ``(n,)``."""
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[some_rows(n, most=(n + 1) // 2, seed=seed)] = True
    return chosen


def logistic(x: Numbers, y: NDArray[np.generic]) -> Any:
    """A logistic regression on standardised ``x (n, d)``, all classes of ``y (n,)`` having the same weight."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is enough for a score
        return model.fit(x, y)


def predicted_by_another(x: Numbers, y: Codes, new: Numbers) -> Codes:
    """Classes of ``new (m, d)`` by a `logistic` regression fitted on ``x (n, d)`` and ``y (n,)``: ``(m,)``.

    If ``y`` has one class alone, that is the answer.
    """
    if (y == y[0]).all():
        return np.full(len(new), y[0])
    return np.asarray(logistic(x, y).predict(new), dtype=np.int64)
