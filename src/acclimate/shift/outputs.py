"""Tests of a model's outputs, and of the shares of the classes."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from acclimate.shift import effects
from acclimate.shift.columns import Tested, category_test, number_test, percent
from acclimate.shift.two_sample import Rows, classifier_test

Probabilities = NDArray[np.float64]
Codes = NDArray[np.int64]

BEYOND_SHARES = "beyond class shares"
"""Names the test of what class shares do not explain."""
SURENESS = "the highest probability"
SHOWN = 4
"""Most classes whose shares a sentence tells, those that changed most."""
FEWEST = 20
"""Examples that can be drawn with the target's shares, below which nothing is compared with them."""


def output_tests(source: Probabilities, target: Probabilities, classes: Sequence[str]) -> Iterator[Tested]:
    """Yield the test of each class's probability, on held-out source examples ``(n, k)`` and the target ``(m, k)``.

    Reference:
        Rabanser et al., Failing Loudly: An Empirical Study of Methods for Detecting Dataset Shift, NeurIPS 2019.
        arXiv:1810.11953
    """
    for j, name in enumerate(classes[: 1 if len(classes) == 2 else None]):
        yield number_test(f"probability of {name}", source[:, j], target[:, j])._replace(test="BBSD: KS and ranks")


def predicted_shares(source: Probabilities, target: Probabilities, classes: Sequence[str]) -> Tested:
    """Test whether classes are predicted as often on the target as on held-out source examples.

    Under label shift this is a test of it; what else changes predictions is found too.

    Reference:
        Lipton et al., Detecting and Correcting for Label Shift with Black Box Predictors, ICML 2018. arXiv:1802.03916
    """
    names = np.array(classes)
    found = _shares("predicted classes", names[source.argmax(1)].tolist(), names[target.argmax(1)].tolist())
    statistic, p = mean_test(source, target)
    return found._replace(test="Hotelling's T² of the probabilities", statistic=statistic, p=p)


def mean_test(source: Probabilities, target: Probabilities) -> tuple[float, float]:
    r"""Return :math:`T^2` of Hotelling and its p-value that mean probabilities ``(k,)`` are the same.

    It finds smaller changes of the shares than a test of predicted classes, which knows nothing of their probabilities.

    Example:
        >>> a, b = (np.column_stack([p, 1 - p]) for p in (np.array([0.1, 0.4, 0.3]), np.array([0.7, 0.6, 0.9])))
        >>> [round(value, 4) for value in mean_test(a, b)]
        [14.0, 0.0201]
    """
    a, b = source[:, 1:], target[:, 1:]
    (n, k), m = a.shape, len(b)
    within = (n - 1) * np.cov(a, rowvar=False) + (m - 1) * np.cov(b, rowvar=False)
    inverse = np.linalg.pinv(within.reshape(k, k) / (n + m - 2))
    difference = b.mean(0) - a.mean(0)
    t2, rest = n * m / (n + m) * float(difference @ inverse @ difference), n + m - k - 1
    return t2, float(f_distribution.sf(t2 * rest / (k * (n + m - 2)), k, rest)) if rest > 0 else 1.0


def true_shares(source: Sequence[str], target: Sequence[str]) -> Tested:
    """Test whether classes are as frequent among labelled examples of both domains."""
    return _shares("classes", source, target)


def _shares(name: str, source: Sequence[str], target: Sequence[str]) -> Tested:
    tested = category_test(name, pl.Series(source, dtype=pl.String), pl.Series(target, dtype=pl.String))
    assert tested.bars
    changes = sorted(
        zip(tested.bars.names, tested.bars.source, tested.bars.target, strict=True),
        key=lambda one: -abs(one[1] - one[2]),
    )[:SHOWN]
    told = ", ".join(f"{value} {percent(before)} → {percent(after)}" for value, before, after in changes)
    return tested._replace(text=f"shares of the {name}: {told}")


def rest_test(
    source: Rows,
    labels: Codes,
    shares: NDArray[np.float64],
    target: Rows,
    *,
    probabilities: tuple[Probabilities, Probabilities] | None = None,
    seed: int = 0,
) -> Tested | None:
    """Test whether the domains still differ once the source's classes have the target's shares.

    Either a classifier finds it or, with a model's probabilities, how sure the model is: other class shares alone do
    not make it less sure of examples of a class. The p-value is twice the smaller of the two.

    Args:
        source: Features of labelled source examples ``(n, d)``.
        labels: Their classes ``(n,)``.
        shares: The target's shares of the classes ``(k,)``.
        target: Features of the target ``(m, d)``.
        probabilities: A model's of both ``(n, k)`` and ``(m, k)``.
        seed: Seed of the draw.

    Returns:
        The test; None if too few examples can be drawn with these shares.
    """
    rows = with_shares(labels, shares, seed=seed)
    if min(len(rows), len(target)) < FEWEST:
        return None
    found = classifier_test(source[rows], target, seed=seed)
    text = (
        "with the target's class shares in the source, a classifier tells the domain of "
        f"{percent(found.accuracy)} of the examples; 50% is chance"
    )
    effect = effects.effect_of_auc(found.auc)
    whole = Tested(BEYOND_SHARES, "classifier two-sample test", found.auc, found.p, effect, text, None)
    if probabilities is None:
        return whole
    sure = number_test(SURENESS, probabilities[0][rows].max(1), probabilities[1].max(1))
    sure = sure._replace(
        name=BEYOND_SHARES, text=f"with the target's class shares in the source, {sure.text}", bars=None
    )
    least = min(whole, sure, key=lambda one: one.p)
    return least._replace(p=min(1.0, 2 * least.p))


def shares_of(labels: Codes, k: int) -> NDArray[np.float64]:
    """Return how often each of ``k`` classes occurs ``(k,)``."""
    return np.asarray(np.bincount(labels, minlength=k) / len(labels))


def with_shares(labels: Codes, shares: NDArray[np.float64], *, seed: int = 0) -> Codes:
    """Draw as many rows as possible without replacement so that the classes have these shares.

    Example:
        >>> rows = with_shares(np.array([0, 0, 0, 1, 1, 1]), np.array([0.75, 0.25]))
        >>> np.array([0, 0, 0, 1, 1, 1])[rows].tolist()
        [0, 0, 0, 1]
    """
    counts = np.bincount(labels, minlength=len(shares))
    total = min((n / share for n, share in zip(counts, shares, strict=True) if share > 1e-9), default=0.0)
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == k))[: round(total * share)] for k, share in enumerate(shares)]
    return np.sort(np.concatenate(chosen))
