"""Linear critics that agree with a classifier on the source and disagree with it on the target."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from acclimate.validators.estimate.inputs import Labels

Matrix = NDArray[np.float64]

DECAY = 1e-4
"""Weight of ``‖W‖² / 2``: classes that a plane separates would let the weights grow without end."""
STEPS = 50
"""Most iterations of L-BFGS; the gap on held-out examples shrinks beyond, as in early stopping."""


class Halves(NamedTuple):
    """What a critic reads and the classifier's predictions for it, in both domains.

    Attributes:
        source: Inputs of the critic on source examples ``(n_s, d)``.
        source_predicted: The classifier's predicted classes ``(n_s,)``.
        target: Inputs on target examples ``(n_t, d)``.
        target_predicted: Predicted classes ``(n_t,)``.
    """

    source: Matrix
    source_predicted: Labels
    target: Matrix
    target_predicted: Labels


def objective(weights: Matrix, data: Halves, k: int) -> tuple[float, Matrix]:
    r"""Surrogate of the disagreement discrepancy, to be minimised, and its gradient.

    .. math::
        -\frac{1}{n_s} \sum_i \log \sigma_{h(x_i)}(W x_i)
        - \frac{1}{n_t} \sum_j \log \big( 1 - \sigma_{h(x_j)}(W x_j) \big) + \frac{\lambda}{2} \lVert W \rVert^2

    with the softmax :math:`\sigma` and the classifier's predicted class :math:`h`. With this loss of disagreement the
    surrogate is Bayes consistent for any number of classes; earlier ones are so for two only.

    Args:
        weights: The critic, flattened ``((d + 1) * k,)``; the last row is the bias.
        data: Inputs and predictions of both domains.
        k: Number of classes.

    Reference:
        Marchant et al., On the Bayes Inconsistency of Disagreement Discrepancy Surrogates, ICLR 2026.
        arXiv:2512.05931
    """
    w = weights.reshape(-1, k)
    agree, d_agree = _agreement(logits(w, data.source), data.source_predicted)
    differ, d_differ = _disagreement(logits(w, data.target), data.target_predicted)
    gradient = DECAY * w
    for inputs, of_logits in ((data.source, d_agree), (data.target, d_differ)):
        gradient[:-1] += inputs.T @ of_logits
        gradient[-1] += of_logits.sum(0)
    return agree + differ + DECAY / 2 * float(weights @ weights), gradient.ravel()


def _agreement(z: Matrix, predicted: Labels) -> tuple[float, Matrix]:
    """Mean of −log σ_y, and its gradient with respect to the logits."""
    rows = np.arange(len(z))
    exponentials, largest = _exponentials(z)
    total = exponentials.sum(1, keepdims=True)
    gradient = exponentials / total
    gradient[rows, predicted] -= 1
    loss = np.log(total[:, 0]) + largest - z[rows, predicted]
    return float(loss.mean()), gradient / len(z)


def _disagreement(z: Matrix, predicted: Labels) -> tuple[float, Matrix]:
    """Mean of −log(1 − σ_y), and its gradient: softmax over all classes less softmax over the others."""
    rows = np.arange(len(z))
    exponentials, largest = _exponentials(z)
    others = z.copy()
    others[rows, predicted] = -np.inf
    of_others, largest_other = _exponentials(others)
    total, total_others = exponentials.sum(1, keepdims=True), of_others.sum(1, keepdims=True)
    loss = np.log(total[:, 0]) + largest - np.log(total_others[:, 0]) - largest_other
    return float(loss.mean()), (exponentials / total - of_others / total_others) / len(z)


def _exponentials(z: Matrix) -> tuple[Matrix, Matrix]:
    largest = z.max(1)
    return np.asarray(np.exp(z - largest[:, None])), np.asarray(largest)


def fit(data: Halves, k: int, rng: np.random.Generator, *, steps: int = STEPS) -> Matrix:
    """Return a critic ``(d + 1, k)`` from a random start; the objective is not convex.

    Args:
        data: Inputs, of about unit variance, and predictions.
        k: Number of classes.
        rng: Draws the start.
        steps: Most iterations.
    """
    d = data.source.shape[1]
    start = rng.normal(size=(d + 1) * k) / np.sqrt(d)
    found = minimize(objective, start, args=(data, k), jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return np.asarray(found.x.reshape(d + 1, k))


def logits(critic: Matrix, inputs: Matrix) -> Matrix:
    """The critic's logits ``(n, k)`` for inputs ``(n, d)``."""
    return np.asarray(inputs @ critic[:-1] + critic[-1])


def discrepancy(critic: Matrix, data: Halves) -> float:
    r"""How much more often critic and classifier agree on the source than on the target, in [−1, 1]."""
    agree_source = (logits(critic, data.source).argmax(1) == data.source_predicted).mean()
    agree_target = (logits(critic, data.target).argmax(1) == data.target_predicted).mean()
    return float(agree_source - agree_target)
