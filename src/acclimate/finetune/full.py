"""All layers train."""

from acclimate.finetune.base import Pace


def paces(n_layers: int) -> list[Pace]:
    """All layers train from the start at the same rate: needs the most labels and has the most to gain.

    When to use:
        For a backbone without pretrained weights, and for a pretrained one if there are thousands of labels or the
        domains differ strongly from the data it was pretrained on.

    Args:
        n_layers: Layers of the model; the last is the head.
    """
    return [Pace()] * n_layers
