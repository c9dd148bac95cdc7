"""Importance weights: how much more likely an example of the source is in the target."""

from weakref import WeakKeyDictionary

import numpy as np

from acclimate.errors import BadInput
from acclimate.validators.candidate import Candidate, Numbers
from acclimate.validators.feature_space import logistic

FOLDS = 5
FEWEST = 30
"""Effective examples below which a weighted accuracy is refused: its standard error would exceed 9 points."""
COVERED = 0.1
"""Mean weight below which the source does not cover the target: 1 where it does, less by what is missing."""
CERTAIN = 1e-6
"""Nearest that the probability of a domain comes to 0 or 1, so that weights stay finite."""


def density_ratio(source: Numbers, target: Numbers, *, folds: int = FOLDS, seed: int = 0) -> Numbers:
    r"""Estimate :math:`q(x) / p(x)`, the target's density over the source's, for every source example.

    .. math:: w(x) = \frac{P(\text{target} \mid x)}{P(\text{source} \mid x)}

    by a logistic regression that tells the domains apart, both domains having the same weight. An example's
    probability comes from a model that was fitted without its fold.

    Args:
        source: Features ``(n_s, d)``.
        target: Features ``(n_t, d)``.
        folds: Number of folds; fewer if a domain has fewer examples.
        seed: Seed of the folds.

    Returns:
        Weights ``(n_s,)``, above 0. Their expected value is 1 for the true ratio.

    Raises:
        BadInput: A domain has fewer than two examples.

    Reference:
        Bickel et al., Discriminative Learning for Differing Training and Test Distributions, ICML 2007,
        doi:10.1145/1273496.1273507; cross-fitted as in Chernozhukov et al., 2018. arXiv:1608.00060
    """
    from sklearn.model_selection import StratifiedKFold

    if min(len(source), len(target)) < 2:
        raise BadInput("importance weights: need two examples of each domain or more; add examples")
    x, is_target = np.concatenate([source, target]), np.repeat([False, True], [len(source), len(target)])
    likely = np.empty(len(x))
    split = StratifiedKFold(min(folds, len(source), len(target)), shuffle=True, random_state=seed)
    for others, fold in split.split(x, is_target):
        likely[fold] = logistic(x[others], is_target[others]).predict_proba(x[fold])[:, 1]
    p = likely[: len(source)].clip(CERTAIN, 1 - CERTAIN)
    return np.asarray(p / (1 - p))


def effective_sample_size(weights: Numbers) -> float:
    r"""How many equally weighted examples say as much, :math:`(\sum w)^2 / \sum w^2`: from 1 to ``n``.

    Reference:
        Kish, Survey Sampling, 1965
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def importance_weights(candidate: Candidate, *, fewest: float = FEWEST) -> Numbers:
    """The `density_ratio` of a candidate's features, for the rows of its `Candidate.source_sample`.

    Raises:
        BadInput: The effective sample size is below ``fewest``, or the source does not cover the target.
    """
    weights = _weights(candidate)
    size, leave = effective_sample_size(weights), "the domains hardly overlap, so leave weighted validators out"
    if weights.mean() < COVERED:  # equally small weights would have a large effective sample size
        raise BadInput(f"candidate {candidate.method}: no source examples are like the target's; {leave}")
    if size < fewest:
        left = f"importance weights leave {size:.0f} effective of {len(weights)} source examples"
        raise BadInput(f"candidate {candidate.method}: {left}, fewer than {fewest:g}; {leave}")
    return weights


_known: WeakKeyDictionary[Candidate, Numbers] = WeakKeyDictionary()
"""Of the candidates there are, since a gate and a validator both need them."""


def _weights(candidate: Candidate) -> Numbers:
    if candidate not in _known:
        _known[candidate] = density_ratio(candidate.source_sample().features, candidate.target_sample().features)
    return _known[candidate]
