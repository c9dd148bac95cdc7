"""Gradual unfreezing."""

from acclimate.errors import BadInput
from acclimate.finetune.base import Pace


def paces(n_layers: int, *, span: float = 0.5) -> list[Pace]:
    r"""The head trains first; then the layers unfreeze one by one from the top.

    .. math:: l \text{ trains from progress } \text{span} \cdot \frac{L - l}{L - 1} \text{ on}, \qquad l = 1, \dots, L

    When to use:
        On a pretrained backbone, if ``full`` forgets too much: the lower a layer, the less time it has to change.

    Args:
        n_layers: :math:`L`, layers of the model; the last is the head.
        span: The progress at which the lowest layer unfreezes.

    Raises:
        BadInput: ``span`` is not in [0, 1].

    Reference:
        Howard and Ruder, Universal Language Model Fine-tuning, ACL 2018. arXiv:1801.06146

    Example:
        >>> [pace.start for pace in paces(3)]
        [0.5, 0.25, 0.0]
    """
    if not 0 <= span <= 1:
        raise BadInput(f"finetune.span={span}: out of range; use a number from 0 to 1")
    return [Pace(start=span * (n_layers - 1 - i) / max(n_layers - 1, 1)) for i in range(n_layers)]
