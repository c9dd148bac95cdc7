"""Accuracy on the source's validation split."""

from acclimate.validators.base import SingleValidator
from acclimate.validators.candidate import Candidate


class SourceAccuracy(SingleValidator):
    r"""Accuracy on held-out source examples.

    .. math:: \frac{1}{n_s} \sum_i [\, \arg\max_c p_c(x_i) = y_i \,]

    It says nothing about the target, but a model that has unlearned the source is seldom right on the target. All
    methods with a class loss on the source raise it; the examples are held out of that loss.

    Shapes: source probabilities ``(n_s, k)``, labels ``(n_s,)``. From 0 to 1.

    Reference:
        As a baseline in Musgrave et al., Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised
        Domain Adaptation, 2022. arXiv:2208.07360
    """

    def _score(self, candidate: Candidate) -> float:
        return float(candidate.right.mean())
