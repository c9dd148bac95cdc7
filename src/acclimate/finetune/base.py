"""What a fine-tuning strategy decides for each layer."""

import math
from typing import NamedTuple


class Pace(NamedTuple):
    """How fast one layer trains, and from when.

    Attributes:
        rate: Its learning rate as a multiple of the backbone's.
        start: The progress in [0, 1] from which it trains; until then it is frozen, including its batch norm.
    """

    rate: float = 1.0
    start: float = 0.0


FROZEN = Pace(start=math.inf)
"""A layer that never trains."""
