"""MaNo: a score of outputs that rises with accuracy, to compare models by."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from acclimate.validators.estimate.inputs import check_outputs

CONFIDENT = 5.0
"""Mean of −log p over examples and classes above which softmax is used as it is."""
ORDER = 4
"""Order of the norm."""


def mano(logits: NDArray[np.float64]) -> float:
    r"""MaNo: the entry-wise norm of normalised logits on the target.

    .. math::
        \Big( \frac{1}{n k} \sum_{ic} \sigma_c(z_i)^4 \Big)^{1/4}, \qquad
        \sigma_c(z) = \frac{v_c}{\sum_j v_j}, \qquad
        v = \begin{cases} e^{z} & \text{if } -\frac{1}{nk} \sum_{ic} \log \mathrm{softmax}_c(z_i) > 5 \\
            1 + z + z^2 / 2 & \text{otherwise} \end{cases}

    It is a score, not an accuracy: compare models of the same task by it. The expansion is not invariant to a constant
    added to the logits of an example, so pass those of the network. Where only probabilities were saved, pass
    :math:`\log p` less its mean over the classes. A collapsed, confident model has the highest score, so use it behind
    gates only.

    Args:
        logits: Logits on the target ``(n, k)``.

    Returns:
        A number in (0, 1].

    Raises:
        BadInput: The logits are empty or not finite.

    Reference:
        Xie et al., MaNo: Exploiting Matrix Norm for Unsupervised Accuracy Estimation Under Distribution Shifts,
        NeurIPS 2024. arXiv:2405.18979
    """
    check_outputs(logits, "target")
    certain = float(-log_softmax(logits, axis=1).mean()) > CONFIDENT
    p = softmax(logits, axis=1) if certain else _expanded(logits)
    return float((p**ORDER).mean() ** (1 / ORDER))


def _expanded(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax with the second-order expansion of the exponential, which is at least 1/2."""
    v = 1 + z + z**2 / 2
    return np.asarray(v / v.sum(1, keepdims=True))
