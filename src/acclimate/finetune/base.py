"""What a rung of the ladder says of each layer."""

import math
from typing import NamedTuple


class Pace(NamedTuple):
    """How one layer moves.

    Attributes:
        rate: Its learning rate as a share of the backbone's.
        start: The progress in [0, 1] from which it moves; until then it stands still, batch norm and all.
    """

    rate: float = 1.0
    start: float = 0.0


FROZEN = Pace(start=math.inf)
"""A layer that never moves."""
