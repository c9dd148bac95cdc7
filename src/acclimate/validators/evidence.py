"""Evidence for or against an adapted model that does not rest on its own confidence, as pairs with source-only's."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.shift.label_shift import bbse
from acclimate.validators.estimate.agreement import gde
from acclimate.validators.estimate.checkers import checked
from acclimate.validators.estimate.combined import Saved
from acclimate.validators.estimate.dis2 import dis2
from acclimate.validators.estimate.inputs import Labels, accuracy

LARGEST = 2000
"""Target examples that are clustered."""


class Pair(NamedTuple):
    """A number for both models; more is better."""

    source_only: float
    adapted: float

    @property
    def gain(self) -> float:
        """What adaptation adds."""
        return self.adapted - self.source_only


def critic(source_only: Saved, adapted: Saved, *, seed: int = 0) -> Pair:
    """Dis² of both models' predictions, with critics on the features of source-only.

    An adapted model bends its own features until its predictions look right on them. It cannot bend these: predictions
    that no boundary of the source explains leave a critic much room to disagree.

    Args:
        source_only: Outputs and features of the model before adaptation.
        adapted: Outputs of the adapted model on the same examples.
        seed: Seed of samples and starts, the same for both.

    Raises:
        BadInput: There are no features, or the arrays do not fit together.
    """
    if source_only.source_features is None or source_only.target_features is None:
        raise BadInput("guard: critics need source-only's features of both domains")
    features = source_only.source_features, source_only.target_features
    found = [dis2(m.source, m.labels, m.target, *features, seed=seed).accuracy for m in (source_only, adapted)]
    return Pair(*found)


def checkers(source_only: Saved, adapted: Saved, *, seed: int = 0) -> Pair:
    """How often simple classifiers that have not seen the adaptation predict the same as each model on the target.

    They are those of `estimate.checkers.checked`, fitted to source-only's features of the held-out source.

    Args:
        source_only: Outputs and features of the model before adaptation.
        adapted: Outputs of the adapted model on the same examples.
        seed: Seed of the samples.

    Raises:
        BadInput: There are no features, or the source has examples of one class only.
    """
    if source_only.source_features is None or source_only.target_features is None:
        raise BadInput("guard: checkers need source-only's features of both domains")
    read = source_only.source_features, source_only.labels, source_only.target_features
    return Pair(*(checked(*read, m.target.argmax(1), seed=seed) for m in (source_only, adapted)))


def clusters(features: NDArray[np.float64], before: Labels, after: Labels, k: int, *, seed: int = 0) -> Pair:
    """How well both models' predictions agree with the clusters of the target in source-only's features.

    It is the adjusted mutual information with k-means of as many clusters as classes.

    Args:
        features: Source-only's features of the target ``(n, d)``.
        before: Source-only's predicted classes ``(n,)``.
        after: The adapted model's ``(n,)``.
        k: Number of classes.
        seed: Seed of the sample and the clustering.

    Raises:
        BadInput: The arrays are not of the same examples, or there are fewer examples than classes.

    Reference:
        Musgrave et al., Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised Domain Adaptation,
        2022, arXiv:2208.07360, for the agreement of predictions with clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score

    if not len(features) == len(before) == len(after) or len(features) < k:
        raise BadInput(f"guard: at least {k} target examples with features and two predictions needed")
    rows = np.random.default_rng(seed).permutation(len(features))[:LARGEST]
    found = KMeans(k, n_init=3, random_state=seed).fit_predict(features[rows])
    return Pair(*(float(adjusted_mutual_info_score(found, of_model[rows])) for of_model in (before, after)))


def stability(before: NDArray[np.int64], after: NDArray[np.int64]) -> Pair:
    """How often two seeds of each model agree on the target: predicted classes ``(S, n)``, ``S ≥ 2``.

    Adaptation that finds what is in the target brings seeds together; adaptation that amplifies noise drives them
    apart.

    Raises:
        BadInput: A model has one seed only.
    """
    return Pair(gde(before), gde(after))


def shares(source_only: Saved, adapted: Saved) -> Pair:
    r"""How near the shares of the predicted classes are to those that BBSE estimates with source-only.

    .. math:: 1 - \tfrac12 \sum_c | \hat q_c - \hat q^{\,\mathrm{predicted}}_c |

    A method that balances its predictions moves away from the estimate if the target's classes are not balanced.

    Args:
        source_only: Outputs of the model before adaptation, which estimates the shares.
        adapted: Outputs of the adapted model.
    """
    labels, k = source_only.labels, source_only.source.shape[1]
    expected = bbse(source_only.source, labels, source_only.target) * np.bincount(labels, minlength=k) / len(labels)
    predicted = [np.bincount(m.target.argmax(1), minlength=k) / len(m.target) for m in (source_only, adapted)]
    return Pair(*(1 - float(np.abs(expected - one).sum()) / 2 for one in predicted))


def source(source_only: Saved, adapted: Saved) -> Pair:
    """Accuracy of both models on the held-out source."""
    return Pair(*(accuracy(m.source, m.labels) for m in (source_only, adapted)))
