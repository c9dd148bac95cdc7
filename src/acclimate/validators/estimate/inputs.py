"""The arrays that the estimators take, and the check that they fit together."""

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def check(source: Probabilities, labels: Labels, target: Probabilities) -> None:
    """Check that one classifier's outputs on both domains and the source's labels fit together.

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.

    Raises:
        BadInput: A domain is empty, the shapes differ, a class is out of range, or a value is not a finite number.
    """
    check_outputs(source, "source")
    check_outputs(target, "target")
    if source.shape[1] != target.shape[1]:
        raise BadInput(f"estimate: source outputs have {source.shape[1]} classes, target outputs {target.shape[1]}")
    if labels.shape != (len(source),):
        raise BadInput(f"estimate: {len(source)} source outputs, but labels of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= source.shape[1]:
        raise BadInput(f"estimate: source labels must lie between 0 and {source.shape[1] - 1}")


def check_outputs(outputs: NDArray[np.float64], domain: str) -> None:
    """Check that the outputs on one domain are a matrix ``(n, k)`` of finite numbers, with ``n ≥ 1`` and ``k ≥ 2``.

    Raises:
        BadInput: They are not.
    """
    if outputs.ndim != 2 or not len(outputs) or outputs.shape[1] < 2:
        raise BadInput(f"estimate: {domain} outputs must be (examples, classes), not {outputs.shape}")
    if not np.isfinite(outputs).all():
        raise BadInput(f"estimate: {domain} outputs contain NaN or infinity; check the model")


def accuracy(probabilities: Probabilities, labels: Labels) -> float:
    """Share of the examples whose most probable class is the true one."""
    return float((probabilities.argmax(1) == labels).mean())


def confidence(probabilities: Probabilities) -> Scores:
    """Probability of the predicted class ``(n,)``."""
    return np.asarray(probabilities.max(1))


def negative_entropy(probabilities: Probabilities) -> Scores:
    r"""Negative entropy :math:`\sum_c p_c \log p_c` of each row ``(n,)``."""
    return np.asarray((probabilities * np.log(probabilities.clip(1e-300))).sum(1))


def share(value: float) -> float:
    """The nearest number in [0, 1]."""
    return float(min(max(value, 0.0), 1.0))
