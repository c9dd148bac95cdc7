"""The ensemble over several sources: models of each source alone, weighted by what validators say of them."""

from collections.abc import Mapping

import numpy as np

from acclimate.workflows.compare.choice import Table
from acclimate.workflows.compare.ensemble import Weights

SOURCES = "sources"
TEMPERATURE = 0.25
"""By how much ranks must differ for weights to differ by the factor e; half the range makes a factor of seven."""


def over_sources(table: Table, sources: Mapping[str, str]) -> dict[str, Weights]:
    r"""The weights of the models of one seed that were trained on one source alone and pass the gates.

    .. math:: w_m = \frac{e^{r_m / T}}{\sum_{m'} e^{r_{m'} / T}}

    :math:`r_m`, from 0 to 1, is the mean rank of model :math:`m` among all models of the seed. A source whose models
    rank high counts more, and no source is left out for a small difference.

    Args:
        table: What gates and validators say, by setting.
        sources: The source of each setting that was trained on one alone.

    Returns:
        The ensemble; nothing where models of fewer than two sources pass.

    Reference:
        Dalalyan & Tsybakov, Aggregation by exponential weighting, sharp PAC-Bayesian bounds and sparsity, Machine
        Learning 2008. arXiv:0803.2839
    """
    names = [name for name, row in table.items() if name in sources and not row.rejected]
    if len({sources[name] for name in names}) < 2:
        return {}
    weights = np.exp(np.array([table[name].combined for name in names]) / TEMPERATURE)
    return {SOURCES: dict(zip(names, map(float, weights / weights.sum()), strict=True))}
