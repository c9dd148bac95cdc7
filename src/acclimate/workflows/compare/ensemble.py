"""The ensemble of the models that pass the gates: their mean, and their importance-weighted aggregation."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from acclimate.errors import BadInput
from acclimate.validators.aggregation import coefficients
from acclimate.validators.candidate import Candidate, Numbers
from acclimate.validators.density_ratio import importance_weights
from acclimate.workflows.compare.choice import Table

MEAN, WEIGHTED = "mean", "weighted"
Weights = Mapping[str, float]
"""Of each member, by setting."""


def members(table: Table) -> list[str]:
    """The settings whose models of one seed pass the gates."""
    return [name for name, row in table.items() if not row.rejected]


def ensembles(pool: Mapping[str, Candidate], table: Table, reference: str) -> dict[str, Weights]:
    """The weights of the members of each ensemble of one seed.

    The density ratio is that of source-only's features, since members have features of their own. Without it there is
    the mean alone.

    Args:
        pool: The models of the seed, by setting.
        table: What gates say of them.
        reference: The setting of source-only.
    """
    names = members(table)
    found: dict[str, Weights] = {MEAN: dict.fromkeys(names, 1 / len(names))}
    try:
        ratio = importance_weights(pool[reference])
    except BadInput:
        return found
    rows = pool[reference].source_rows
    weights = _coefficients([pool[name] for name in names], ratio, slice(None) if rows is None else rows)
    return {**found, WEIGHTED: dict(zip(names, map(float, weights), strict=True))}


def by_name(of_seeds: Mapping[int, Mapping[str, Weights]]) -> dict[str, dict[int, Weights]]:
    """Those ensembles that all seeds have, by name and then by seed."""
    names = dict.fromkeys(name for own in of_seeds.values() for name in own)
    names = {name: None for name in names if all(name in own for own in of_seeds.values())}
    return {name: {seed: own[name] for seed, own in of_seeds.items()} for name in names}


def _coefficients(models: Sequence[Candidate], ratio: Numbers, rows: slice | NDArray[np.int64]) -> Numbers:
    source, target = (np.stack([getattr(one, part) for one in models]) for part in ("source", "target"))
    return coefficients(source[:, rows], models[0].labels[rows], ratio, target)
