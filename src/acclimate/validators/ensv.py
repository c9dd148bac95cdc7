"""Agreement with the ensemble of all candidates."""

from collections.abc import Sequence

import numpy as np

from acclimate.errors import BadInput
from acclimate.validators.base import Score, Validator
from acclimate.validators.candidate import Candidate, Codes, Numbers, Probabilities


def method_weights(pool: Sequence[Candidate]) -> Numbers:
    """A weight for each candidate, so that each method has the same weight however many candidates it has ``(m,)``."""
    methods = [candidate.method for candidate in pool]
    return np.array([1 / (methods.count(method) * len(set(methods))) for method in methods])


def agreement(predicted: Sequence[Probabilities], weights: Numbers) -> Numbers:
    """How often each of ``m`` predictions ``(n, k)`` has the same class as their weighted mean ``(m,)``."""
    mean = sum(w * p for w, p in zip(weights, predicted, strict=True))
    consensus: Codes = np.asarray(mean).argmax(1)
    return np.array([(p.argmax(1) == consensus).mean() for p in predicted])


class EnsV(Validator):
    r"""How often a model predicts the same class as the mean of all models in the pool.

    .. math:: \frac{1}{n_t} \sum_i [\, \arg\max_c p_{mc}(x_i) = \arg\max_c \textstyle\sum_{m'} v_{m'} p_{m'c}(x_i) \,]

    The ensemble is at least as good as the average model, so a model far from it is seldom good. In the
    paper every model has the same weight :math:`v`. In this implementation every *method* has, so that many settings
    of one method do not outvote the others. Bad candidates outvote a good one: use it behind `gates`.

    Shapes: target probabilities ``(n_t, k)`` of ``m`` candidates. From 0 to 1.

    Reference:
        Hu et al., Towards Reliable Model Selection for Unsupervised Domain Adaptation: An Empirical Study and A
        Certified Baseline, NeurIPS 2024, https://openreview.net/forum?id=rI7kbFTSpr
    """

    def scores(self, pool: Sequence[Candidate]) -> list[Score]:
        """The agreement of every candidate with the ensemble.

        Raises:
            BadInput: The candidates are for different targets.
        """
        if len({candidate.target.shape for candidate in pool}) > 1:
            raise BadInput(f"{self.name}: candidates have different numbers of target examples or classes")
        agreed = agreement([candidate.target for candidate in pool], method_weights(pool)) if pool else np.empty(0)
        return [Score(float(value)) for value in agreed]
