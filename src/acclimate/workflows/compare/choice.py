"""The choice of one setting over all seeds, from what gates and validators say of each seed's models."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from acclimate.validators.candidate import Candidate
from acclimate.validators.selection import Row, select

Table = Mapping[str, Row]
"""What is said of the models of one seed, by setting."""


class Choice(NamedTuple):
    """The setting that is chosen, the mean rank of each, and why."""

    name: str
    ranks: Mapping[str, float]
    reason: str


def judge(pool: Mapping[str, Candidate], reference: str, own: Mapping[str, str] | None = None) -> Table:
    """What gates and validators say of the models of one seed.

    Args:
        pool: By setting.
        reference: The setting of the source-only model that gates compare with.
        own: For each setting that of the source-only model of its source; ``reference`` by default.
    """
    names = list(pool)
    bases = [names.index((own or {}).get(name, reference)) for name in names]
    found = select(list(pool.values()), names.index(reference), own=bases)
    return dict(zip(names, found.table, strict=True))


def choose(tables: Sequence[Table], reference: str) -> Choice:
    r"""Choose the setting with the highest mean rank over seeds, in which a rejected model has rank 0.

    .. math:: \max_g \; \frac1S \sum_{s=1}^S r_{gs}, \qquad r_{gs} = 0 \text{ if a gate rejects the model}

    A setting that lacks a seed cannot be chosen, since its Run would lack a model. Of equal settings source-only is
    chosen, then the first.

    Args:
        tables: One of each seed.
        reference: The setting of source-only.
    """
    names = [name for name in tables[0] if all(name in table for table in tables)]
    ranks = {name: mean_rank([table[name] for table in tables]) for name in names}
    best = max(names, key=lambda name: (ranks[name], name == reference, -names.index(name)))
    return Choice(best, ranks, _why(best, ranks, tables))


def mean_rank(rows: Sequence[Row]) -> float:
    """The mean of the combined ranks, 0 for each row that a gate rejects."""
    return float(np.mean([0.0 if row.rejected else row.combined for row in rows]))


def mean_scores(rows: Sequence[Row]) -> dict[str, float]:
    """The mean over seeds of each validator's score, of those seeds in which it gave one."""
    names = dict.fromkeys(name for row in rows for name in row.scores)
    values = {name: [row.scores[name].value for row in rows if name in row.scores] for name in names}
    known = {name: [value for value in found if not np.isnan(value)] for name, found in values.items()}
    return {name: float(np.mean(found)) for name, found in known.items() if found}


def _why(best: str, ranks: Mapping[str, float], tables: Sequence[Table]) -> str:
    rejected = sum(bool(row.rejected) for table in tables for row in table.values())
    total = sum(map(len, tables))
    gates = f"; gates rejected {rejected} of {total} models" if rejected else ""
    return f"it has the highest mean rank, {ranks[best]:.2f} of 1{gates}"
