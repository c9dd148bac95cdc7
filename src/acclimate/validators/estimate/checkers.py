"""Checkers: simple classifiers on features that vote on a model's predictions for the target."""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from acclimate.errors import BadInput
from acclimate.validators.estimate.inputs import Labels

LARGEST = 2000
"""Examples of each domain that checkers read; more are sampled."""
NEIGHBOURS = 5
"""Neighbours that vote."""

Matrix = NDArray[np.float64]


def checked(
    source_features: Matrix,
    labels: Labels,
    target_features: Matrix,
    predicted: Labels,
    *,
    largest: int = LARGEST,
    seed: int = 0,
) -> float:
    r"""Mean agreement of a model with checkers that were fitted to the source in some model's features.

    .. math:: \frac{1}{3 n_t} \sum_{c = 1}^{3} \sum_i [\, g_c(x_i) = \hat y(x_i) \,]

    The checkers are the nearest centroid, the nearest neighbours, and a logistic regression of features that are
    standardised in each domain. As in `agreement.gde`, disagreement stands for error. But checkers of different kinds
    share fewer errors than seeds do, and none has seen the adaptation: confidence plays no part. It is too high where
    all go wrong together.

    Args:
        source_features: Features of held-out source examples ``(n_s, d)``.
        labels: Their classes ``(n_s,)``.
        target_features: Features of the target ``(n_t, d)``.
        predicted: The model's predicted class for each target example ``(n_t,)``.
        largest: Most examples of a domain; more are sampled.
        seed: Seed of the samples.

    Raises:
        BadInput: The arrays do not fit together, or the source has fewer than two classes.
    """
    _check(source_features, labels, target_features, predicted)
    rng = np.random.default_rng(seed)
    i, j = rng.permutation(len(labels))[:largest], rng.permutation(len(predicted))[:largest]
    if len(np.unique(labels[i])) < 2:
        raise BadInput("estimate: checkers need source examples of two classes or more")
    return float((votes(source_features[i], labels[i], target_features[j]) == predicted[j]).mean())


def votes(source: Matrix, labels: Labels, target: Matrix) -> NDArray[np.int64]:
    """Predicted classes of each checker ``(3, n_t)``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    classes = np.unique(labels)
    centroids = np.stack([source[labels == c].mean(0) for c in classes])
    nearest = classes[cdist(target, centroids).argmin(1)]
    with warnings.catch_warnings():  # of many classes and of slow convergence, which a user cannot mend
        warnings.simplefilter("ignore")
        neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(labels))).fit(source, labels)
        aligned = LogisticRegression(C=0.3, max_iter=1000).fit(_standardised(source), labels)
    return np.stack([nearest, neighbours.predict(target), aligned.predict(_standardised(target))])


def _standardised(features: Matrix) -> Matrix:
    return np.asarray((features - features.mean(0)) / (features.std(0) + 1e-6))


def _check(source: Matrix, labels: Labels, target: Matrix, predicted: Labels) -> None:
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise BadInput(f"estimate: features must be (examples, d), not {source.shape} and {target.shape}")
    if (len(labels), len(predicted)) != (len(source), len(target)) or not len(predicted):
        raise BadInput(
            f"estimate: features of {len(source)} source and {len(target)} target examples, but {len(labels)} labels "
            f"and {len(predicted)} predictions"
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise BadInput("estimate: features contain NaN or infinity; check the model")
