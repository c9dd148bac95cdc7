"""Concept drift: whether examples that are alike have other classes in the target, by labelled examples of both."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from acclimate.shift.columns import Tested, percent
from acclimate.shift.effects import effect_of_distance
from acclimate.shift.harm import EACH
from acclimate.shift.outputs import shares_of, with_shares
from acclimate.shift.rows import reduced
from acclimate.shift.two_sample import MOST_TREED, Codes, Rows, cross_fitted

FEWEST = 30
"""Labelled examples of a domain below which no test is made."""
FEWEST_ALIKE = 15
"""Labelled examples of a domain with like ones in the other, below which no test is made."""
CERTAIN = 0.02
"""Probability of a domain below which an example has no like ones there."""
MOST = 2000
"""Most examples of a domain that are used."""
FOLDS = 5
DIRECTIONS = 32
"""Principal directions that the features are reduced to."""
ALONG = 8
"""Directions along which the classes may change."""
MOST_CLASSES = 10
"""Most classes whose shares are tested, the most frequent ones."""
CLASSES_TREED = 3
"""Classes up to which boosted trees are fitted beside the linear classifier."""
DRAWS = 1999
"""Draws of the null distribution."""

Probabilities = NDArray[np.float64]


class ConceptTest(NamedTuple):
    """The largest covariance, in standard errors, and its p-value."""

    statistic: float
    p: float


def concept_test(
    source: Rows, labels: Codes, target: Rows, target_labels: Codes, *, seed: int = 0
) -> ConceptTest | None:
    r"""Test whether the class depends on the domain :math:`d` beyond the features.

    .. math::
        T_{cj} = \frac{\sum_i w_{ij} (d_i - e(x_i)) (1_{y_i = c} - m_c(x_i))}
            {\sqrt{\sum_i w_{ij}^2 (d_i - e(x_i))^2 (1_{y_i = c} - m_c(x_i))^2}}

    with the cross-fitted probabilities :math:`e` of the domain and :math:`m` of the classes, for the weights 1 and the
    first directions of the features. The statistic is the largest :math:`|T_{cj}|`; its null distribution is by random
    signs. Examples whose domain is all but certain count for nothing: they have no like ones in the other domain.

    Args:
        source: Features ``(n, d)``.
        labels: Their classes ``(n,)``.
        target: Features ``(m, d)``.
        target_labels: Their classes ``(m,)``.
        seed: Seed of the folds and draws.

    Returns:
        The test; None if too few examples have like ones in the other domain.

    Reference:
        Shah and Peters, The Hardness of Conditional Independence Testing and the Generalised Covariance Measure,
        Annals of Statistics 2020, arXiv:1804.07203; weights as in Scheidegger, Hörrmann and Bühlmann, The Weighted
        Generalised Covariance Measure, JMLR 2022. arXiv:2111.04361
    """
    x, y = np.concatenate([source, target]), np.concatenate([labels, target_labels])
    d = np.repeat([0, 1], [len(source), len(target)])
    e = expit(cross_fitted(x, d, FOLDS, seed).scores + np.log(len(target) / len(source)))
    overlap = (e > CERTAIN) & (e < 1 - CERTAIN)
    if np.bincount(d[overlap], minlength=2).min() < FEWEST_ALIKE:
        return None
    m = _cross_fitted(x, y, d, seed)
    classes = np.argsort(-np.bincount(y), kind="stable")[:MOST_CLASSES]
    of_class = (y[:, None] == classes) - m[:, classes]
    spread = x.std(0)
    along = (x / np.where(spread > 0, spread, 1))[:, np.argsort(-spread, kind="stable")[:ALONG]].clip(-3, 3)
    weights = np.column_stack([np.ones(len(x)), along]) * (overlap * (d - e))[:, None]
    return ConceptTest(*_largest((of_class[:, :, None] * weights[:, None, :]).reshape(len(x), -1), seed))


def _largest(products: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """The largest standardised sum of a column ``(n, k)`` and its p-value."""
    length = np.sqrt(np.square(products).sum(0))
    standard = products[:, length > 0] / length[length > 0]
    observed = float(np.abs(standard.sum(0)).max(initial=0))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(DRAWS, len(products)))
    null = np.abs(signs @ standard).max(1, initial=0)
    return observed, float((np.sum(null >= observed) + 1) / (DRAWS + 1))


def _cross_fitted(x: Rows, y: Codes, strata: Codes, seed: int) -> Probabilities:
    """Probabilities of the classes, each example's by a model fitted without it."""
    from sklearn.model_selection import StratifiedKFold

    found = np.zeros((len(x), int(y.max()) + 1))
    for others, fold in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, strata):
        found[fold] = _probabilities(x[others], y[others], x[fold], found.shape[1])
    return found


def accuracies(
    source: Rows, labels: Codes, target: Rows, target_labels: Codes, *, seed: int = 0
) -> tuple[float, float]:
    """Return the accuracy on the target of a model of the source, and of one that its labels correct, cross-fitted."""
    k = int(max(labels.max(), target_labels.max())) + 1
    before = _probabilities(source, labels, target, k)
    corrected = np.column_stack([target, np.log(before.clip(1e-3))])
    after = _cross_fitted(corrected, target_labels, np.zeros(len(target), int), seed)
    return float(np.mean(before.argmax(1) == target_labels)), float(np.mean(after.argmax(1) == target_labels))


def _probabilities(x: Rows, y: Codes, new: Rows, k: int) -> Probabilities:
    """Of a linear classifier, or the mean of its and those of boosted trees if there are few columns and classes."""
    known, found = np.unique(y), np.zeros((len(new), k))
    if len(known) == 1:
        found[:, known] = 1
        return found
    models = _models(x.shape[1] <= MOST_TREED and len(known) <= CLASSES_TREED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nearly converged is as valid
        found[:, known] = np.mean([model.fit(x, y).predict_proba(new) for model in models], 0)
    return found


def _models(treed: bool) -> list[Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    trees = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=0)
    return [LogisticRegression(C=0.1, max_iter=100), *([trees] if treed else [])]


def concept_drift(source: Rows, labels: Codes, target: Rows, target_labels: Codes, *, seed: int = 0) -> Tested | None:
    """Return the test of concept drift, told from label shift.

    Other class shares alone change the classes of like examples, too. So the test is made again with the target's
    shares in the source, and the larger p-value counts.

    Args:
        source: Features ``(n, d)`` of labelled examples.
        labels: Their classes ``(n,)``.
        target: Features ``(m, d)`` of labelled examples, on the same scale.
        target_labels: Their classes ``(m,)``.
        seed: Seed of the draws.

    Returns:
        The test; None with too few examples, or too few that have like ones in the other domain.
    """
    a, b = reduced(source, target, directions=DIRECTIONS)
    rng = np.random.default_rng(seed)
    some, others = (rng.permutation(len(x))[:MOST] for x in (a, b))
    a, y, b, z = a[some], labels[some], b[others], target_labels[others]
    if len(np.unique(y)) > len(y) // EACH:
        return None
    shared = with_shares(y, shares_of(z, int(max(y.max(), z.max())) + 1), seed=seed) if len(y) and len(z) else some[:0]
    if min(len(shared), len(b)) < FEWEST:
        return None
    plain, alike = concept_test(a, y, b, z, seed=seed), concept_test(a[shared], y[shared], b, z, seed=seed)
    if plain is None or alike is None:
        return None
    before, after = accuracies(a, y, b, z, seed=seed)
    text = (
        f"a model of the source's labels is right on {percent(before)} of the target's {len(b)} labelled examples, one "
        f"that these correct on {percent(after)} (cross-validated)"
    )
    effect, p = effect_of_distance(max(0.0, after - before)), max(plain.p, alike.p)
    statistic = min(plain.statistic, alike.statistic)
    return Tested("classes of like examples", "covariance test", statistic, p, effect, text, None)
