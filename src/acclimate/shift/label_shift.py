"""Label shift: the shares of the classes change, and the examples within each class do not.

All functions need only one classifier's probabilities ``(n, k)`` on held-out source examples and on the target, and
the classes ``(n,)`` of the source examples.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from acclimate.errors import BadInput, did_you_mean

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]
Weights = NDArray[np.float64]
Estimator = Callable[[Probabilities, Labels, Probabilities], Weights]
"""Held-out source probabilities, their labels, target probabilities → target share / source share of every class."""


ClassShare = TypedDict("ClassShare", {"class": str, "share": float, "low": float, "high": float, "source": float})
"""The estimated share of one class in the target, its bounds, and the class's share in the source."""


class Calibration(NamedTuple):
    """Maps probabilities to ``softmax(log p / temperature + bias)``, with ``bias (k,)``."""

    temperature: float
    bias: NDArray[np.float64]

    def __call__(self, probabilities: Probabilities) -> Probabilities:
        """Calibrated ``probabilities (n, k)``."""
        return np.asarray(softmax(_log(probabilities) / self.temperature + self.bias, axis=1))


class LabelShift(NamedTuple):
    """Estimated shares of the classes in the target, to correct predictions with.

    Attributes:
        shares: Estimated share of each class in the target ``(k,)``.
        low: Lower bounds of the 95 % bootstrap intervals ``(k,)``.
        high: Upper bounds ``(k,)``.
        source: Share of each class in the held-out source ``(k,)``.
        calibration: Calibration learnt on the held-out source.
    """

    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    source: NDArray[np.float64]
    calibration: Calibration

    def by_class(self, classes: Sequence[str]) -> list[ClassShare]:
        """Return ``class``, ``share``, ``low``, ``high`` and ``source`` of every class, to print."""
        rows = zip(*(part.tolist() for part in (self.shares, self.low, self.high, self.source)), strict=True)
        return [
            {"class": c, "share": share, "low": low, "high": high, "source": source}
            for c, (share, low, high, source) in zip(classes, rows, strict=True)
        ]

    def correct(self, probabilities: Probabilities) -> Probabilities:
        r"""Correct ``probabilities (n, k)`` for the target's class shares.

        .. math:: q(y \mid x) \propto p(y \mid x) \, q(y) / p(y)

        with calibrated :math:`p(y \mid x)`.
        """
        weights = self.shares / self.source.clip(1e-12)
        corrected = self.calibration(probabilities) * weights
        return np.asarray(corrected / corrected.sum(1, keepdims=True).clip(1e-300))


def label_shift(
    name: str,
    source: Probabilities,
    labels: Labels,
    target: Probabilities,
    *,
    draws: int = 200,
    seed: int = 0,
) -> LabelShift:
    """Estimate the target's class shares with bootstrap intervals.

    Each bootstrap draw resamples both samples, the held-out source within each class, and calibrates again. Each class
    then gets one extra example, a copy of a random source example: a confusion that never occurs in a few hundred
    examples may still occur. The intervals cover sampling error only: if more than the shares has changed, the error
    has no bound.

    Args:
        name: ``bbse``, ``rlls`` or ``em``.
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Raises:
        BadInput: The estimator is unknown, or a class has no held-out example.
    """
    estimator = get(name)
    share = _shares(labels, source.shape[1])
    if not share.all():
        raise BadInput(
            f"label shift: class number {int(share.argmin())} has no held-out source example; add examples of it"
        )
    calibration = calibrate(source, labels)

    def shares(p: Probabilities, y: Labels, q: Probabilities, fitted: Calibration) -> NDArray[np.float64]:
        return estimator(fitted(p), y, fitted(q)) * _shares(y, len(share))

    estimate = shares(source, labels, target, calibration)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        i, j = _within_classes(labels, rng), rng.integers(len(target), size=len(target))
        fitted = calibrate(source[i], labels[i], start=calibration)
        extra = rng.integers(len(labels), size=len(share))
        y = np.concatenate([labels[i], np.arange(len(share))])
        drawn.append(shares(source[np.concatenate([i, extra])], y, target[j], fitted))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0) if draws else (estimate, estimate)
    return LabelShift(estimate, low, high, share, calibration)


def bbse(source: Probabilities, labels: Labels, target: Probabilities) -> Weights:
    r"""Black-box shift estimation: class weights under which the source's confusion matrix explains the target.

    .. math::
        C w = \mu, \qquad C_{ij} = p(\hat y = i, y = j), \qquad \mu_i = q(\hat y = i)

    solved by least squares; negative weights are set to zero and the shares normalised to sum to one.

    When to use:
        If only the shares of the classes change and the confusion matrix of the held-out source is reliable: some
        dozens of examples of each class, and a classifier that is mostly right. It uses hard predictions, so it does
        not depend on calibration.

    Reference:
        Lipton et al., Detecting and Correcting for Label Shift with Black Box Predictors, ICML 2018.
        arXiv:1802.03916
    """
    confusion, predicted = _moments(source, labels, target)
    return _normalised(np.asarray(np.linalg.lstsq(confusion, predicted, rcond=None)[0]), labels)


def rlls(
    source: Probabilities, labels: Labels, target: Probabilities, *, strength: float = 0.01, risk: float = 0.05
) -> Weights:
    r"""Regularised learning under label shifts: the equation of BBSE, regularised towards no shift.

    .. math::
        \hat\theta = \arg\min_{\theta \ge -1} \lVert C \theta - (\mu - C 1) \rVert_2
            + \Delta \lVert \theta \rVert_2, \quad w = 1 + \hat\theta, \quad
        \Delta = 3 \, \text{strength} \left( \tfrac{2 \log (2k / \text{risk})}{3 n}
            + \sqrt{\tfrac{2 \log (2k / \text{risk})}{n}} \right)

    When to use:
        In place of BBSE, if examples are few or the classifier is weak: its errors tend towards no shift.

    Args:
        source: Held-out source probabilities ``(n, k)``.
        labels: Their classes ``(n,)``.
        target: Target probabilities ``(m, k)``.
        strength: Fraction of the bound :math:`\Delta` to use; the theory's is 1, which shrinks far too much.
        risk: Probability that the bound does not hold.

    Reference:
        Azizzadenesheli et al., Regularized Learning for Domain Adaptation under Label Shifts, ICLR 2019.
        arXiv:1903.09734
    """
    from scipy.optimize import minimize

    confusion, predicted = _moments(source, labels, target)
    n, k = source.shape
    log_term = 2 * np.log(2 * k / risk)
    delta = 3 * strength * (log_term / (3 * n) + np.sqrt(log_term / n))
    unexplained = predicted - confusion.sum(1)

    def objective(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        residual = confusion @ theta - unexplained
        error, size = np.linalg.norm(residual) + 1e-12, np.linalg.norm(theta) + 1e-12
        return float(error + delta * size), confusion.T @ residual / error + delta * theta / size

    start = bbse(source, labels, target) - 1
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(-1, None)] * k)
    return _normalised(1 + found.x, labels)


def em(
    source: Probabilities, labels: Labels, target: Probabilities, *, rounds: int = 1000, tolerance: float = 1e-6
) -> Weights:
    r"""Expectation maximisation of the likelihood of the target under new class shares.

    .. math::
        q(y) \leftarrow \frac{1}{m} \sum_i
            \frac{p(y \mid x_i) \, q(y) / p(y)}{\sum_{y'} p(y' \mid x_i) \, q(y') / p(y')}

    It needs calibrated probabilities; `label_shift` first calibrates them with a bias for every class.

    When to use:
        As the first choice if only the shares of the classes change: it uses whole probabilities and so loses the
        least information. It depends on their calibration, for which the held-out source must be large enough.

    Args:
        source: Held-out source probabilities ``(n, k)``; only the number of classes is used.
        labels: Their classes ``(n,)``.
        target: Target probabilities ``(m, k)``.
        rounds: Maximum number of rounds.
        tolerance: It stops when no share changes by more than this.

    Reference:
        Saerens et al., Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural Computation
        2002; with bias-corrected calibration after Alexandari et al., ICML 2020. arXiv:1901.06852
    """
    share = _shares(labels, source.shape[1])
    likelihood = target / share.clip(1e-12)

    def em_step(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        per_row: NDArray[np.float64] = 1 / np.asarray(likelihood @ shares).clip(1e-300)
        return np.asarray(shares * (per_row @ likelihood) / len(likelihood))

    current = share
    for _ in range(rounds):
        once = em_step(current)
        before, current = current, _extrapolated(current, once, em_step(once))
        if np.abs(current - before).max() < tolerance:
            break
    return np.asarray(current / share.clip(1e-12))


def _extrapolated(
    current: NDArray[np.float64], once: NDArray[np.float64], twice: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Extrapolate two steps of EM (Varadhan & Roland 2008): takes tens of rounds instead of thousands."""
    first, second = once - current, twice - 2 * once + current
    curvature = float(np.linalg.norm(second))
    length = max(1.0, float(np.linalg.norm(first)) / max(curvature, 1e-300))
    shares = current + 2 * length * first + length**2 * second
    return twice if (shares < 0).any() else np.asarray(shares / shares.sum())


ESTIMATORS: dict[str, Estimator] = {"bbse": bbse, "rlls": rlls, "em": em}


def get(name: str) -> Estimator:
    """Return the estimator called ``name``.

    Raises:
        BadInput: The estimator is unknown.
    """
    if name not in ESTIMATORS:
        raise BadInput(f"no label-shift estimator {name!r}; {did_you_mean(name, ESTIMATORS)}")
    return ESTIMATORS[name]


def calibrate(source: Probabilities, labels: Labels, *, start: Calibration | None = None) -> Calibration:
    r"""Bias-corrected temperature scaling: the ``temperature`` and ``bias (k,)`` of maximum likelihood.

    .. math:: \min_{T, b} \; -\frac{1}{n} \sum_i \log \mathrm{softmax}(\log p_i / T + b)_{y_i}

    A prior with the weight of one example draws the temperature to 1 and the biases to 0, so that both stay finite for
    a classifier without errors on the held-out source.

    Reference:
        Alexandari et al., Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift
        Adaptation, ICML 2020. arXiv:1901.06852
    """
    from scipy.optimize import minimize

    logits, (n, k) = _log(source), source.shape
    truth = np.eye(k)[labels]

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, bias = np.exp(x[0]), x[1:]
        log_p = log_softmax(logits * scale + bias, axis=1)
        residual = (np.exp(log_p) - truth) / n
        loss = -log_p[np.arange(n), labels].mean() + (x @ x) / (2 * n)
        return float(loss), np.concatenate([[(residual * logits).sum() * scale], residual.sum(0)]) + x / n

    initial = np.zeros(k + 1) if start is None else np.concatenate([[-np.log(start.temperature)], start.bias])
    found = minimize(objective, initial, jac=True, method="L-BFGS-B")
    return Calibration(float(np.exp(-found.x[0])), found.x[1:])


def _moments(
    source: Probabilities, labels: Labels, target: Probabilities
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``C (k, k)``, with true classes as columns, and ``μ (k,)``, both from hard predictions."""
    k = source.shape[1]
    confusion = np.zeros((k, k))
    np.add.at(confusion, (source.argmax(1), labels), 1 / len(labels))
    return confusion, _shares(target.argmax(1), k)


def _normalised(weights: Weights, labels: Labels) -> Weights:
    weights = weights.clip(0)
    return np.asarray(weights / (_shares(labels, len(weights)) @ weights).clip(1e-12))


def _shares(labels: Labels, k: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(labels, minlength=k) / len(labels))


def _within_classes(labels: Labels, rng: np.random.Generator) -> Labels:
    """Draw rows with replacement within each class, keeping the class counts."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(order[first + (rng.random(len(labels)) * np.repeat(counts, counts)).astype(np.int64)])


def _log(p: Probabilities) -> NDArray[np.float64]:
    return np.asarray(np.log(p.clip(1e-30)))
