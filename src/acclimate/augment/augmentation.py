"""Augmentation: what is done to the batches of training before a method sees them, whatever the method is."""

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
"""By their names in a recipe."""

Batches = Iterator[tuple[Tensor, ...]]
"""Inputs and labels of the source with inputs of the target, step by step."""


@dataclass(frozen=True)
class Augment:
    """Augments the source's and the target's inputs of every batch; labels go by.

    Attributes:
        source: One of `AUGMENTATIONS`.
        target: One too.
        replica: Which rows of the whole batch this process has.
    """

    source: str = "none"
    target: str = "none"
    replica: Replica = WHOLE

    def __call__(self, batches: Batches) -> Batches:
        """The same batches, augmented as they are asked for, so that numbers are drawn in the order of the steps."""
        for inputs, labels, others in batches:
            here = AUGMENTATIONS[self.source](inputs, self.replica)
            yield here, labels, AUGMENTATIONS[self.target](others, self.replica)


PLAIN = Augment()
"""Nothing is done."""


def check(asked: Augmentation, *, images: bool, sparse: bool) -> None:
    """Refuse what makes no sense for the examples.

    Args:
        asked: For each domain.
        images: Whether the examples are images.
        sparse: Whether they are text, alone or beside images, or rows that are mostly zero.

    Raises:
        BadInput: Images alone can be flipped, and to sparse rows nothing is done.
    """
    for domain, name in asked.model_dump().items():
        if name == "none" or images:
            continue
        if sparse:
            raise BadInput(f"augment.{domain}={name}: text and sparse rows are not augmented; leave it out")
        if name != "noise":
            raise BadInput(f"augment.{domain}={name}: is for images, and these are not; use noise, or leave it out")
