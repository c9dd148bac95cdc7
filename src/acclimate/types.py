"""What travels through the house: batches in, outputs through, losses out."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field
from torch import Tensor

Count = Annotated[int, Field(ge=1)]
"""A whole number of things, one at least: the type of an option, which `recipe.check_options` holds it to."""

Share = Annotated[float, Field(ge=0, lt=1)]
"""A part of a whole, less than all of it: the type of an option."""


class Labeled(NamedTuple):
    """A batch of examples with ``labels (n,)``: classes as int64, or standardised numbers as float32."""

    inputs: Tensor
    labels: Tensor


class Unlabeled(NamedTuple):
    """A batch of examples. It has no field for labels, so none can leak."""

    inputs: Tensor


class Outputs(NamedTuple):
    """What a model says of a batch: ``features (n, d)``, ``logits (n, k)``; for a number ``k`` is 1.

    ``layers`` has the intermediate layers that were asked for, by name, each pooled to ``(n, d_layer)``.
    """

    features: Tensor
    logits: Tensor
    layers: Mapping[str, Tensor] = {}


class Turn(NamedTuple):
    """One of the alternating steps of a method: which of its parts move, and how often in a row.

    ``moves`` names sub-modules of the method (``"model.head"``); what is not named stands still.
    """

    name: str
    moves: tuple[str, ...]
    repeat: int = 1


Losses = dict[str, Tensor]
"""Named scalars. Their sum is minimised; each is plotted."""
