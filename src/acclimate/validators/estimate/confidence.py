"""Estimates from the mean confidence of the model."""

from acclimate.validators.estimate.inputs import (
    Labels,
    Probabilities,
    accuracy,
    check,
    check_outputs,
    confidence,
    share,
)


def average_confidence(target: Probabilities) -> float:
    r"""Average confidence: the accuracy of a model that is right as often as it says.

    .. math:: \widehat{\mathrm{acc}} = \frac{1}{n_t} \sum_i \max_c p_c(x_i)

    Args:
        target: Probabilities on the target ``(n_t, k)``.

    Raises:
        BadInput: The outputs are empty or not finite.

    Reference:
        Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural
        Networks, ICLR 2017. arXiv:1610.02136

    Example:
        >>> import numpy as np
        >>> average_confidence(np.array([[0.75, 0.25], [0.5, 0.5]]))
        0.625
    """
    check_outputs(target, "target")
    return float(confidence(target).mean())


def difference_of_confidences(source: Probabilities, labels: Labels, target: Probabilities) -> float:
    r"""Difference of confidences (DoC): source accuracy, less the confidence that is lost on the target.

    .. math::
        \widehat{\mathrm{acc}} = \mathrm{acc}_s
            - \left( \overline{\max_c p_c}^{\,s} - \overline{\max_c p_c}^{\,t} \right)

    Args:
        source: Probabilities on held-out source examples ``(n_s, k)``.
        labels: Their classes ``(n_s,)``.
        target: Probabilities on the target ``(n_t, k)``.

    Raises:
        BadInput: The arrays do not fit together.

    Reference:
        Guillory et al., Predicting with Confidence on Unseen Distributions, ICCV 2021. arXiv:2107.03315
    """
    check(source, labels, target)
    lost = confidence(source).mean() - confidence(target).mean()
    return share(accuracy(source, labels) - float(lost))
