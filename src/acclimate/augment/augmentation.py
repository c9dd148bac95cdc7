"""Augmentation of training batches, before any method sees them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from acclimate.augment import views
from acclimate.errors import BadInput
from acclimate.nn.replicas import WHOLE, Replica
from acclimate.recipe import Augmentation

AUGMENTATIONS: dict[str, Callable[[Tensor, Replica], Tensor]] = {
    "none": lambda x, replica: x,
    "flip_crop": views.flip_crop,
    "trivial": views.trivial,
    "noise": views.noise,
}
"""Augmentations by their names in a recipe."""

Batches = Iterator[tuple[Tensor, ...]]
"""Source inputs, source labels and target inputs, step by step."""


@dataclass(frozen=True)
class Augment:
    """Augments the source and target inputs of every batch; labels pass through.

    Attributes:
        source: Augmentation of the source, a name in `AUGMENTATIONS`.
        target: Augmentation of the target, a name in `AUGMENTATIONS`.
        replica: Which rows of the whole batch this process has.
    """

    source: str = "none"
    target: str = "none"
    replica: Replica = WHOLE

    def __call__(self, batches: Batches) -> Batches:
        """Yield the batches augmented, lazily, so that random numbers are drawn in the order of the steps."""
        for source, labels, target in batches:
            augmented = AUGMENTATIONS[self.source](source, self.replica)
            yield augmented, labels, AUGMENTATIONS[self.target](target, self.replica)


PLAIN = Augment()
"""No augmentation."""


def check(requested: Augmentation, *, images: bool, sparse: bool) -> None:
    """Refuse an augmentation that does not apply to the examples.

    Args:
        requested: The augmentation of each domain.
        images: Whether the examples are images.
        sparse: Whether the examples are sparse rows, or text with or without images.

    Raises:
        BadInput: An augmentation is for images only, or the examples cannot be augmented.
    """
    for domain, name in requested.model_dump().items():
        if name == "none" or images:
            continue
        if sparse:
            raise BadInput(f"augment.{domain}={name}: does not apply to text or sparse rows; remove it")
        if name != "noise":
            raise BadInput(f"augment.{domain}={name}: applies to images only; use noise or remove it")
