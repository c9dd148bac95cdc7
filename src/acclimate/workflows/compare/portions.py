"""Portions: cells that one process trains in one go."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from acclimate.workflows.compare.cells import Cell
from acclimate.workflows.train_phase import Machine, may_stack

Portion = list[Cell]


def portions(cells: Sequence[Cell], machine: Machine, *, workers: int = 1) -> list[Portion]:
    """Divide cells into portions: those of one method that may train as one stack are together, others alone.

    A portion has no more than one worker's share of the cells from its method on, so that no worker is left without
    work while another has several cells.

    Args:
        cells: All cells.
        machine: Where they train.
        workers: How many processes take portions.
    """
    found: list[Portion] = []
    left = len(cells)
    for group in _groups(cells, machine):
        found += _divided(group, most=math.ceil(left / workers))
        left -= len(group)
    return found


def _groups(cells: Sequence[Cell], machine: Machine) -> list[Portion]:
    found: dict[str, Portion] = {}
    for cell in cells:
        key = cell.setting.method if may_stack(cell.plan, machine) else cell.name
        found.setdefault(key, []).append(cell)
    return list(found.values())


def _divided(group: Portion, most: int) -> Iterator[Portion]:
    """Parts of about the same size."""
    parts = math.ceil(len(group) / most)
    bounds = [i * len(group) // parts for i in range(parts + 1)]
    return (group[start:stop] for start, stop in pairwise(bounds))
