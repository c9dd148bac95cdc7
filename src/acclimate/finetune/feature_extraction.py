"""The backbone is frozen."""

from acclimate.finetune.base import FROZEN, Pace


def paces(n_layers: int) -> list[Pace]:
    """The backbone stands still and the head learns: a linear model of pretrained features.

    The simplest rung, for few labels; nothing is forgotten. The backbone is run once for each example, and its
    features are kept, so that steps cost next to nothing. Methods that align features get a narrow layer before the
    head that they can move, as in ``backbone.bottleneck``.

    Args:
        n_layers: Layers of the model, the head's being the last.
    """
    return [FROZEN] * (n_layers - 1) + [Pace()]
