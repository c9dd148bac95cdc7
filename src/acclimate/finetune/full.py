"""All layers move."""

from acclimate.finetune.base import Pace


def paces(n_layers: int) -> list[Pace]:
    """All layers move from the start at the same rate: the most labels needed, the most to be gained.

    The right rung for a backbone whose weights are fresh; and for a pretrained one where thousands of labels are at
    hand, or where the domains look like nothing it was pretrained on.

    Args:
        n_layers: Layers of the model, the head's being the last.
    """
    return [Pace()] * n_layers
