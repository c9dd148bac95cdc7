"""The upper layers train."""

from acclimate.errors import BadInput
from acclimate.finetune.base import FROZEN, Pace


def paces(n_layers: int, *, layers: int = 2) -> list[Pace]:
    """The head and the uppermost layers of the backbone train; the lower ones, which detect edges and colours, do not.

    When to use:
        On a pretrained backbone, if there are too few labels for ``full`` and ``feature_extraction`` is not enough.

    Args:
        n_layers: Layers of the model; the last is the head.
        layers: How many layers of the backbone train.

    Raises:
        BadInput: ``layers`` is negative.
    """
    if layers < 0:
        raise BadInput(f"finetune.layers={layers}: cannot be negative; use 0 or more")
    trained = min(layers, n_layers - 1) + 1
    return [FROZEN] * (n_layers - trained) + [Pace()] * trained
