"""Nuclear norm of the predictions on the target."""

from typing import ClassVar

import numpy as np

from acclimate.validators.base import CONFIDENT, SingleValidator
from acclimate.validators.candidate import Candidate, Numbers, Probabilities


def singular_values(p: Probabilities) -> Numbers:
    """Singular values of ``p (n, k)``, the largest first."""
    # of the smaller Gram matrix, so that many rows cost little
    gram = p.T @ p if p.shape[0] >= p.shape[1] else p @ p.T
    return np.asarray(np.sqrt(np.linalg.eigvalsh(gram).clip(0))[::-1])


class BNM(SingleValidator):
    r"""The nuclear norm of the matrix of predictions, divided by its largest possible value.

    .. math:: \frac{\lVert P \rVert_*}{\sqrt{n_t \min(n_t, k)}}

    The sum of the singular values is large if rows are confident and if their classes are diverse. It is 1 for
    certain predictions with equal class shares, and :math:`1 / \sqrt k` if one class is certain everywhere.

    Shapes: :math:`P`, target probabilities ``(n_t, k)``. From :math:`1 / k` to 1, where :math:`n_t \ge k`.

    Reference:
        Cui et al., Towards Discriminability and Diversity: Batch Nuclear-norm Maximization under Label Insufficient
        Situations, CVPR 2020, arXiv:2003.12237; as a validator in Musgrave et al., 2022. arXiv:2208.07360
    """

    shares: ClassVar[frozenset[str]] = CONFIDENT

    def _score(self, candidate: Candidate) -> float:
        n, k = candidate.target.shape
        return float(singular_values(candidate.target).sum() / np.sqrt(n * min(n, k)))
