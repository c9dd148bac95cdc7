"""Augmentation consistency metric: a classifier held out of the adaptation, and two views of the target."""

from typing import Any, ClassVar

import numpy as np

from acclimate.validators.base import CONFIDENT, SingleValidator
from acclimate.validators.candidate import Candidate, Codes, Numbers
from acclimate.validators.feature_space import half
from acclimate.validators.information_maximisation import mutual_information

HIDDEN = 64
EPOCHS = 30


def held_out_mlp(x: Numbers, y: Codes, k: int, *, seed: int = 0) -> Any:
    """A scaler and a small network fitted on ``x (n, d)`` and ``y (n,)``, with outputs for all ``k`` classes."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    network = MLPClassifier((HIDDEN,), batch_size=min(64, len(x)), random_state=seed)
    scaled, classes = scaler.transform(x), np.arange(k)
    for _ in range(EPOCHS):
        network.partial_fit(scaled, y, classes=classes)
    return lambda new: network.predict_proba(scaler.transform(new))


class ACM(SingleValidator):
    r"""How well a fresh network serves both domains on the model's features, and how steady the predictions are.

    .. math::
        \frac13 \left( \mathrm{acc}_s(h) + \frac{I_t(h)}{\log k}
            + \frac{1}{n_t} \sum_i [\, \hat y(x_i) = \hat y(x_i') \,] \right)

    A small network :math:`h` is fitted on half of the source features with their labels and half of the target features
    with the model's predictions. On the other halves :math:`\mathrm{acc}_s` is its accuracy on the source and
    :math:`I_t` its mutual information on the target. Predictions that features do not explain, or that contradict
    the source, lower both; the model's own confidence has no part. :math:`x'` is a second random view of :math:`x`.
    The published metric adds the same quantities; the weights, the pseudo-labels and the size of :math:`h` are ours.

    Shapes: source and target features ``(m, d)`` with probabilities and labels, second view ``(n_t, k)``. From 0 to 1.

    Reference:
        Chen et al., A Study of Unsupervised Evaluation Metrics for Practical and Automatic Domain Adaptation, 2023.
        arXiv:2308.00287
    """

    shares: ClassVar[frozenset[str]] = CONFIDENT
    needs: ClassVar[tuple[str, ...]] = ("source_features", "target_features", "second_view")

    def _score(self, candidate: Candidate) -> float:
        assert candidate.second_view is not None  # `needs` has it
        source, target, k = candidate.source_sample(), candidate.target_sample(), candidate.n_classes
        s, t = half(len(source.features)), half(len(target.features))
        x = np.concatenate([source.features[s], target.features[t]])
        fitted = held_out_mlp(x, np.concatenate([source.labels[s], target.predicted[t]]), k)
        accuracy = (fitted(source.features[~s]).argmax(1) == source.labels[~s]).mean()
        certain = mutual_information(fitted(target.features[~t])) / np.log(k)
        steady = (candidate.second_view.argmax(1) == candidate.predicted).mean()
        return float((accuracy + certain + steady) / 3)
