"""Linear probing, then fine-tuning."""

from acclimate.errors import BadInput
from acclimate.finetune.base import Pace


def paces(n_layers: int, *, probe: float = 0.5) -> list[Pace]:
    """The head trains alone first, then all layers train.

    An untrained head sends noisy gradients to the backbone. Once the head is trained, fine-tuning distorts the
    pretrained features less, and accuracy on examples unlike the source is higher.

    When to use:
        On a pretrained backbone that must work on examples unlike the source, which is what adaptation is about.

    Args:
        n_layers: Layers of the model; the last is the head.
        probe: The progress at which all layers start to train.

    Raises:
        BadInput: ``probe`` is not in [0, 1].

    Reference:
        Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, ICLR 2022.
        arXiv:2202.10054
    """
    if not 0 <= probe <= 1:
        raise BadInput(f"finetune.probe={probe}: out of range; use a number from 0 to 1")
    return [Pace(start=probe)] * (n_layers - 1) + [Pace()]
