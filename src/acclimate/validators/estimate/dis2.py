"""Dis²: a lower bound of the accuracy from critics that disagree with the classifier on the target only."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.validators.estimate import critic
from acclimate.validators.estimate.critic import Halves, Matrix
from acclimate.validators.estimate.inputs import Labels, Probabilities, accuracy, check, share

RESTARTS = 3
"""Critics from random starts for each half; they end at nearly the same discrepancy."""
LARGEST = 2000
"""Examples of each domain that critics are trained and tested on."""
DIMENSIONS = 64
"""Dimensions of the features that critics read; it limits the cost."""
RISK = 0.01
"""Probability that sampling error breaks the bound."""
FEWEST = 4
"""Examples of each domain below which nothing can be held out."""


class Dis2(NamedTuple):
    """An estimate by disagreement discrepancy.

    Attributes:
        accuracy: Source accuracy less the largest discrepancy: the estimate without the term of sampling error.
        bound: The same less this term, a lower bound of the accuracy on the target.
        discrepancy: The largest discrepancy that was found.
    """

    accuracy: float
    bound: float
    discrepancy: float


def dis2_logits(source: Probabilities, labels: Labels, target: Probabilities, *, seed: int = 0) -> Dis2:
    """Dis² with critics on the classifier's own logits: tight, and no bound for a model that is sure of all.

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        seed: Seed of samples, halves and starts.

    Raises:
        BadInput: The arrays do not fit together, or a domain has fewer than four examples.
    """
    check(source, labels, target)
    return dis2(source, labels, target, log_ratios(source), log_ratios(target), seed=seed)


def log_ratios(probabilities: Probabilities) -> Matrix:
    """Logits with a mean of 0 over the classes, from probabilities ``(n, k)``."""
    z = np.log(probabilities.clip(1e-12))
    return np.asarray(z - z.mean(1, keepdims=True))


def dis2(
    source: Probabilities,
    labels: Labels,
    target: Probabilities,
    source_features: Matrix,
    target_features: Matrix,
    *,
    restarts: int = RESTARTS,
    largest: int = LARGEST,
    dimensions: int = DIMENSIONS,
    seed: int = 0,
) -> Dis2:
    r"""Dis²: accuracy falls by no more than the disagreement with the worst critic rises.

    .. math::
        \mathrm{acc}_t \ge \mathrm{acc}_s - \max_{h'} \big( P_s[h' = h] - P_t[h' = h] \big)
            - \sqrt{\frac{(n_s + 4 n_t) \log (1 / \delta)}{2 n_s n_t}}

    It holds if the true labelling is no worse a critic than the linear ones that are tried. `critic.fit` trains critics
    on one half of both domains; the other half measures them, and the halves change places. The classifier itself is a
    critic with a discrepancy of 0. The features may belong to another model, so that an adapted model, whose own
    features hide what it gets wrong, is judged by those of source-only.

    Args:
        source: The classifier's probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Its probabilities on the target ``(n_t, k)``.
        source_features: What critics read of these source examples ``(n_s, d)``.
        target_features: What they read of the target ``(n_t, d)``.
        restarts: Critics for each half.
        largest: Most examples of a domain; more are sampled.
        dimensions: Most principal components of the features.
        seed: Seed of samples, halves and starts.

    Raises:
        BadInput: The arrays do not fit together, or a domain has fewer than four examples.

    Reference:
        Rosenfeld and Garg, (Almost) Provable Error Bounds Under Distribution Shift via Disagreement Discrepancy,
        NeurIPS 2023. arXiv:2306.00312
    """
    check(source, labels, target)
    _check_features(source, target, source_features, target_features)
    rng = np.random.default_rng(seed)
    i, j = _sample(len(source), largest, rng), _sample(len(target), largest, rng)
    inputs = _components(source_features[i], target_features[j], dimensions)
    data = Halves(inputs[0], source[i].argmax(1), inputs[1], target[j].argmax(1))
    parts = np.arange(len(i)) % 2, np.arange(len(j)) % 2  # the rows were shuffled
    k = source.shape[1]
    found = np.mean([_worst(_of(data, parts, side), _of(data, parts, 1 - side), k, restarts, rng) for side in (0, 1)])
    point = accuracy(source, labels) - float(found)
    return Dis2(share(point), share(point - sampling_error(len(i) // 2, len(j) // 2)), float(found))


def sampling_error(n_source: int, n_target: int, *, risk: float = RISK) -> float:
    """How far the bound can be off with probability ``risk``, from so many held-out examples of each domain."""
    return float(np.sqrt((n_source + 4 * n_target) * np.log(1 / risk) / (2 * n_source * n_target)))


def _worst(fitted: Halves, held_out: Halves, k: int, restarts: int, rng: np.random.Generator) -> float:
    critics = [critic.fit(fitted, k, rng) for _ in range(restarts)]
    return max(0.0, *(critic.discrepancy(one, held_out) for one in critics))


def _sample(n: int, largest: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.asarray(rng.permutation(n)[:largest])


def _of(data: Halves, parts: tuple[NDArray[np.int64], NDArray[np.int64]], side: int) -> Halves:
    s, t = (part == side for part in parts)
    return Halves(data.source[s], data.source_predicted[s], data.target[t], data.target_predicted[t])


def _components(source: Matrix, target: Matrix, most: int) -> tuple[Matrix, Matrix]:
    """Principal components of both domains together, with a largest variance of 1."""
    mean = (source.mean(0) + target.mean(0)) / 2
    source, target = source - mean, target - mean
    covariance = source.T @ source / len(source) + target.T @ target / len(target)
    variances, directions = np.linalg.eigh(covariance / 2)
    scale = directions[:, ::-1][:, :most] / np.sqrt(max(float(variances[-1]), 1e-30))
    return np.asarray(source @ scale), np.asarray(target @ scale)


def _check_features(source: Probabilities, target: Probabilities, on_source: Matrix, on_target: Matrix) -> None:
    if min(len(source), len(target)) < FEWEST:
        raise BadInput(f"estimate: Dis² needs at least {FEWEST} examples of each domain")
    if on_source.ndim != 2 or on_target.ndim != 2 or on_source.shape[1] != on_target.shape[1]:
        raise BadInput(f"estimate: features must be (examples, d), not {on_source.shape} and {on_target.shape}")
    if (len(on_source), len(on_target)) != (len(source), len(target)):
        raise BadInput(
            f"estimate: features of {len(on_source)} source and {len(on_target)} target examples, but "
            f"outputs of {len(source)} and {len(target)}"
        )
    if not (np.isfinite(on_source).all() and np.isfinite(on_target).all()):
        raise BadInput("estimate: features contain NaN or infinity; check the model")
