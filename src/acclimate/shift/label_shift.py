"""Label shift: the classes come in other shares, and within a class nothing has changed.

Everything here reads only what one classifier says of held-out source examples, their classes, and what it says of
the target: probabilities ``(n, k)``, labels ``(n,)``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from acclimate.errors import BadInput, did_you_mean

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]
Weights = NDArray[np.float64]
Estimator = Callable[[Probabilities, Labels, Probabilities], Weights]
"""Held-out source probabilities, their labels, target probabilities → target share / source share of every class."""


class Calibration(NamedTuple):
    """Probabilities become ``softmax(log p / temperature + bias)``; ``bias (k,)``."""

    temperature: float
    bias: NDArray[np.float64]

    def __call__(self, probabilities: Probabilities) -> Probabilities:
        """Calibrated ``probabilities (n, k)``."""
        return np.asarray(softmax(_log(probabilities) / self.temperature + self.bias, axis=1))


class LabelShift(NamedTuple):
    """How often each class occurs in the target, and what follows for predictions.

    Attributes:
        shares: Estimated share of each class in the target ``(k,)``.
        low: Lower ends of the 95 % bootstrap intervals ``(k,)``.
        high: Upper ends.
        source: Share of each class in the held-out source ``(k,)``.
        calibration: What was learnt on the held-out source before anything else.
    """

    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    source: NDArray[np.float64]
    calibration: Calibration

    def by_class(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """``class``, ``share``, ``low``, ``high`` and ``source`` of every class, to print."""
        columns = ("share", "low", "high", "source")
        rows = zip(*(part.tolist() for part in (self.shares, self.low, self.high, self.source)), strict=True)
        return [{"class": c} | dict(zip(columns, row, strict=True)) for c, row in zip(classes, rows, strict=True)]

    def correct(self, probabilities: Probabilities) -> Probabilities:
        r"""What the classifier would say had it known the target's shares.

        .. math:: q(y \mid x) \propto p(y \mid x) \, q(y) / p(y)

        with calibrated :math:`p(y \mid x)`; rows ``(n, k)``.
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

    Both samples are drawn again in every bootstrap draw, the held-out source within each class, and the calibration
    is learnt anew. Each class then gets one example more that is like any of the source's: that a confusion was
    never seen in a few hundred examples does not mean that there is none. The intervals are of sampling alone: where
    more than the shares has changed, nothing bounds the error.

    Args:
        name: ``bbse``, ``rlls`` or ``em``.
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.
        draws: Bootstrap draws.
        seed: Of the draws.

    Raises:
        BadInput: There is no such estimator, or a class has no held-out example.
    """
    estimator = get(name)
    share = _shares(labels, source.shape[1])
    if not share.all():
        raise BadInput(f"class number {int(share.argmin())} has no held-out source example; label shift needs some")
    calibration = calibrate(source, labels)

    def shares(here: Probabilities, known: Labels, there: Probabilities, fitted: Calibration) -> NDArray[np.float64]:
        return estimator(fitted(here), known, fitted(there)) * _shares(known, len(share))

    best = shares(source, labels, target, calibration)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        i, j = _within_classes(labels, rng), rng.integers(len(target), size=len(target))
        fitted = calibrate(source[i], labels[i], start=calibration)
        more = rng.integers(len(labels), size=len(share))
        known = np.concatenate([labels[i], np.arange(len(share))])
        drawn.append(shares(source[np.concatenate([i, more])], known, target[j], fitted))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0) if draws else (best, best)
    return LabelShift(best, low, high, share, calibration)


def bbse(source: Probabilities, labels: Labels, target: Probabilities) -> Weights:
    r"""Black-box shift estimation: the weights under which the source's confusions give the target's predictions.

    .. math::
        C w = \mu, \qquad C_{ij} = p(\hat y = i, y = j), \qquad \mu_i = q(\hat y = i)

    solved by least squares; negative weights are set to zero and the shares made to sum to one.

    When to use:
        Where only the shares of the classes have changed and the confusions on the held-out source can be trusted:
        some dozens of examples of each class, of a classifier that is mostly right. It reads hard predictions, so
        nothing hangs on calibration there.

    Reference:
        Lipton et al., Detecting and Correcting for Label Shift with Black Box Predictors, ICML 2018.
        arXiv:1802.03916
    """
    confusion, predicted = _moments(source, labels, target)
    return _normalised(np.asarray(np.linalg.lstsq(confusion, predicted, rcond=None)[0]), labels)


def rlls(
    source: Probabilities, labels: Labels, target: Probabilities, *, strength: float = 0.01, risk: float = 0.05
) -> Weights:
    r"""Regularised learning under label shifts: the same equation, drawn towards no shift.

    .. math::
        \hat\theta = \arg\min_{\theta \ge -1} \lVert C \theta - (\mu - C 1) \rVert_2
            + \Delta \lVert \theta \rVert_2, \quad w = 1 + \hat\theta, \quad
        \Delta = 3 \, \text{strength} \left( \tfrac{2 \log (2k / \text{risk})}{3 n}
            + \sqrt{\tfrac{2 \log (2k / \text{risk})}{n}} \right)

    When to use:
        As BBSE, where examples are few or the classifier is weak: it errs towards no shift.

    Args:
        source: Held-out source probabilities ``(n, k)``.
        labels: Their classes ``(n,)``.
        target: Target probabilities ``(m, k)``.
        strength: Share of the bound :math:`\Delta` that is used; 1 is the theory's, which shrinks far too much.
        risk: Probability that the bound does not hold.

    Reference:
        Azizzadenesheli et al., Regularized Learning for Domain Adaptation under Label Shifts, ICLR 2019.
        arXiv:1903.09734
    """
    confusion, predicted = _moments(source, labels, target)
    n, k = source.shape
    log_term = 2 * np.log(2 * k / risk)
    delta = 3 * strength * (log_term / (3 * n) + np.sqrt(log_term / n))
    left = predicted - confusion.sum(1)

    def objective(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        residual = confusion @ theta - left
        miss, size = np.linalg.norm(residual) + 1e-12, np.linalg.norm(theta) + 1e-12
        return float(miss + delta * size), confusion.T @ residual / miss + delta * theta / size

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

    It wants calibrated probabilities; `label_shift` calibrates them with a bias for every class first.

    When to use:
        First of all, where only the shares of the classes have changed: it reads whole probabilities and so wastes
        least. It hangs on their calibration, which the held-out source must allow.

    Args:
        source: Held-out source probabilities ``(n, k)``; only their number of classes matters here.
        labels: Their classes ``(n,)``.
        target: Target probabilities ``(m, k)``.
        rounds: Most rounds.
        tolerance: Largest change of a share at which it stops.

    Reference:
        Saerens et al., Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural Computation
        2002; with bias-corrected calibration after Alexandari et al., ICML 2020. arXiv:1901.06852
    """
    share = _shares(labels, source.shape[1])
    likelihood = target / share.clip(1e-12)

    def better(shares: NDArray[np.float64]) -> NDArray[np.float64]:
        per_row: NDArray[np.float64] = 1 / np.asarray(likelihood @ shares).clip(1e-300)
        return np.asarray(shares * (per_row @ likelihood) / len(likelihood))

    now = share
    for _ in range(rounds):
        once = better(now)
        before, now = now, _leap(now, once, better(once))
        if np.abs(now - before).max() < tolerance:
            break
    return np.asarray(now / share.clip(1e-12))


def _leap(now: NDArray[np.float64], once: NDArray[np.float64], twice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where two rounds of EM point to, extrapolated (Varadhan & Roland 2008): tens of rounds instead of thousands."""
    first, second = once - now, twice - 2 * once + now
    bend = float(np.linalg.norm(second))
    length = max(1.0, float(np.linalg.norm(first)) / max(bend, 1e-300))
    far = now + 2 * length * first + length**2 * second
    return twice if (far < 0).any() else np.asarray(far / far.sum())


ESTIMATORS: dict[str, Estimator] = {"bbse": bbse, "rlls": rlls, "em": em}


def get(name: str) -> Estimator:
    """The estimator of that name.

    Raises:
        BadInput: There is none.
    """
    if name not in ESTIMATORS:
        raise BadInput(f"no label-shift estimator {name!r}; {did_you_mean(name, ESTIMATORS)}")
    return ESTIMATORS[name]


def calibrate(source: Probabilities, labels: Labels, *, start: Calibration | None = None) -> Calibration:
    r"""Bias-corrected temperature scaling: the ``temperature`` and ``bias (k,)`` of the highest likelihood.

    .. math:: \min_{T, b} \; -\frac{1}{n} \sum_i \log \mathrm{softmax}(\log p_i / T + b)_{y_i}

    A bias is drawn towards 0 with the weight of one example, so that a classifier that makes no mistake on the
    held-out source stays finite.

    Reference:
        Alexandari et al., Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift
        Adaptation, ICML 2020. arXiv:1901.06852
    """
    logits, (n, k) = _log(source), source.shape
    truth = np.eye(k)[labels]

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, bias = np.exp(x[0]), x[1:]
        said = log_softmax(logits * scale + bias, axis=1)
        wrong = (np.exp(said) - truth) / n
        loss = -said[np.arange(n), labels].mean() + (x @ x) / (2 * n)
        return float(loss), np.concatenate([[(wrong * logits).sum() * scale], wrong.sum(0)]) + x / n

    first = np.zeros(k + 1) if start is None else np.concatenate([[-np.log(start.temperature)], start.bias])
    found = minimize(objective, first, jac=True, method="L-BFGS-B")
    return Calibration(float(np.exp(-found.x[0])), found.x[1:])


def _moments(
    source: Probabilities, labels: Labels, target: Probabilities
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``C (k, k)`` with true classes as columns, and ``μ (k,)``, both of hard predictions."""
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
    """Rows drawn with replacement, as many of each class as there are."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(order[first + (rng.random(len(labels)) * np.repeat(counts, counts)).astype(np.int64)])


def _log(p: Probabilities) -> NDArray[np.float64]:
    return np.asarray(np.log(p.clip(1e-30)))
