"""Layer-wise learning-rate decay."""

from acclimate.errors import BadInput
from acclimate.finetune.base import Pace


def paces(n_layers: int, *, decay: float = 0.75) -> list[Pace]:
    r"""All layers train, each more slowly than the one above it.

    .. math:: \eta_l = \eta \, \gamma^{L - l}, \qquad l = 1, \dots, L

    Low layers hold general features that should change little; high layers are specific to the pretraining task.

    When to use:
        On pretrained transformers and deep networks, with enough labels to train all layers.

    Args:
        n_layers: :math:`L`, layers of the model; the last is the head.
        decay: :math:`\gamma`; .65 to .9 for transformers in the papers.

    Raises:
        BadInput: ``decay`` is not in (0, 1].

    Reference:
        Howard and Ruder, Universal Language Model Fine-tuning, ACL 2018 (discriminative fine-tuning).
        arXiv:1801.06146; Clark et al., ELECTRA, ICLR 2020. arXiv:2003.10555

    Example:
        >>> [round(0.001 * pace.rate, 10) for pace in paces(5, decay=0.3)]
        [8.1e-06, 2.7e-05, 9e-05, 0.0003, 0.001]
    """
    if not 0 < decay <= 1:
        raise BadInput(f"finetune.decay={decay}: out of range; use a number above 0 and at most 1")
    return [Pace(decay ** (n_layers - 1 - i)) for i in range(n_layers)]
