"""The types that methods, models and training exchange: batches, outputs, losses."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field
from torch import Tensor

Count = Annotated[int, Field(ge=1, le=2**16)]
"""The type of an option that counts something, from 1 to 65 536; `recipe.check_options` enforces it."""

Share = Annotated[float, Field(ge=0, lt=1)]
"""The type of an option that is a fraction in [0, 1)."""


class Labeled(NamedTuple):
    """A batch with ``labels (n,)``: classes as int64, or standardised numbers as float32."""

    inputs: Tensor
    labels: Tensor


class Unlabeled(NamedTuple):
    """A batch without labels. It has no field for them, so none can leak."""

    inputs: Tensor


class Outputs(NamedTuple):
    """A model's outputs for a batch: ``features (n, d)`` and ``logits (n, k)``; in regression ``k`` is 1.

    ``layers`` holds the requested intermediate layers by name, each pooled to ``(n, d_layer)``.
    """

    features: Tensor
    logits: Tensor
    layers: Mapping[str, Tensor] = {}


class Turn(NamedTuple):
    """One of a method's alternating steps: the parts that it updates, and how often in a row.

    ``moves`` names sub-modules of the method (``"model.head"``); all others stay frozen.
    """

    name: str
    moves: tuple[str, ...]
    repeat: int = 1


Losses = dict[str, Tensor]
"""Named scalars. Training minimises their sum; the report plots each."""
