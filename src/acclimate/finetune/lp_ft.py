"""Linear probing, then fine-tuning."""

from acclimate.errors import BadInput
from acclimate.finetune.base import Pace


def paces(n_layers: int, *, probe: float = 0.5) -> list[Pace]:
    """The head learns alone first, then all layers move.

    A fresh head sends noise down; by the time the backbone moves, the head knows what it wants, so that pretrained
    features are bent less and examples unlike the source fare better.

    Args:
        n_layers: Layers of the model, the head's being the last.
        probe: The progress at which all layers move.

    Raises:
        BadInput: The progress is not in [0, 1].

    Reference:
        Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, ICLR 2022.
        arXiv:2202.10054
    """
    if not 0 <= probe <= 1:
        raise BadInput(f"finetune.probe={probe}: is a progress; give a number from 0 to 1")
    return [Pace(start=probe)] * (n_layers - 1) + [Pace()]
