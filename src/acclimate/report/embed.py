"""Features brought to the plane."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from openTSNE import TSNE
from sklearn.decomposition import PCA

FEWEST = 10
"""Rows below which neighbourhoods mean nothing and the plane of most variance is drawn instead."""
DIMENSIONS = 50
PERPLEXITY = 30
WIDE = 600
"""Features from which on an approximate PCA is quicker than the exact one."""


class Plane(NamedTuple):
    """Points ``(n, 2)`` and how they were found."""

    points: NDArray[np.float64]
    how: str


def embed(features: NDArray[np.float64]) -> Plane:
    """t-SNE of ``features (n, d)`` after PCA to 50 dimensions; the same points for the same features.

    Fewer than ten rows, or rows that are all the same, are projected by PCA alone.

    References:
        van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 2008; initialised by PCA after Kobak and
        Linderman, doi:10.1038/s41587-020-00809-z.
    """
    spread = np.unique(features, axis=0)
    if len(spread) < FEWEST:
        return Plane(_principal(features, 2), "PCA")
    few = _principal(features, DIMENSIONS)
    # One job: the order in which two would add up their gradients is not the same twice.
    tsne = TSNE(
        perplexity=min(PERPLEXITY, (len(few) - 1) / 3),
        n_jobs=1,
        random_state=0,
        neighbors="exact",
        negative_gradient_method="bh",
        initialization="pca",
    )
    return Plane(np.asarray(tsne.fit(few), dtype=np.float64), "t-SNE")


def _principal(features: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """The ``dimensions`` of most variance, zeros where there are not so many."""
    centred = features - features.mean(0)
    scale = np.abs(centred).max(initial=0.0)
    if scale == 0:
        return np.zeros((len(features), 2))
    n = min(dimensions, *features.shape)
    solver = "covariance_eigh" if features.shape[1] <= WIDE else "randomized"
    found = PCA(n, svd_solver=solver, random_state=0).fit_transform(centred / scale)
    return np.pad(found, ((0, 0), (0, max(0, 2 - n))))
