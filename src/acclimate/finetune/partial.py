"""The upper layers move."""

from acclimate.errors import BadInput
from acclimate.finetune.base import FROZEN, Pace


def paces(n_layers: int, *, layers: int = 2) -> list[Pace]:
    """The head and the uppermost layers of the backbone move; those below, which see edges and colours, do not.

    Args:
        n_layers: Layers of the model, the head's being the last.
        layers: How many layers of the backbone move.

    Raises:
        BadInput: There are fewer than none.
    """
    if layers < 0:
        raise BadInput(f"finetune.layers={layers}: how many layers move; give 0 or more")
    moving = min(layers, n_layers - 1) + 1
    return [FROZEN] * (n_layers - moving) + [Pace()] * moving
