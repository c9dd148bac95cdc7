"""The backbone is frozen."""

from acclimate.finetune.base import FROZEN, Pace


def paces(n_layers: int) -> list[Pace]:
    """The backbone is frozen and the head trains: a linear model on pretrained features.

    The simplest strategy, for few labels; the backbone forgets nothing. It runs once per example and its features are
    cached, so steps are very cheap. Methods that align features get a narrow trainable layer before the head, as with
    ``backbone.bottleneck``.

    When to use:
        With few labels, or on a CPU, if the backbone was pretrained on data like the domains.

    Args:
        n_layers: Layers of the model; the last is the head.
    """
    return [FROZEN] * (n_layers - 1) + [Pace()]
