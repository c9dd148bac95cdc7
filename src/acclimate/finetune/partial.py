"""The upper layers move."""

from acclimate.finetune.base import FROZEN, Pace


def paces(n_layers: int, *, layers: int = 2) -> list[Pace]:
    """The head and the uppermost layers of the backbone move; those below, which see edges and colours, do not.

    Args:
        n_layers: Layers of the model, the head's being the last.
        layers: How many layers of the backbone move.
    """
    moving = min(max(layers, 0), n_layers - 1) + 1
    return [FROZEN] * (n_layers - moving) + [Pace()] * moving
