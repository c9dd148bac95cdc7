"""Features embedded in two dimensions, for maps."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from openTSNE import TSNE
from sklearn.decomposition import PCA

FEWEST = 10
"""Fewest rows for t-SNE; with fewer, neighbourhoods mean nothing, and PCA is used."""
DIMENSIONS = 50
"""Dimensions that PCA keeps for t-SNE."""
PERPLEXITY = 30
WIDE = 600
"""Number of features above which approximate PCA is faster than exact PCA."""


class Embedding(NamedTuple):
    """Points ``(n, 2)``, and the method that computed them."""

    points: NDArray[np.float64]
    method: str


def embed(features: NDArray[np.float64]) -> Embedding:
    """Embed ``features (n, d)`` by t-SNE after PCA to 50 dimensions, deterministically.

    Fewer than ten different rows are projected by PCA alone.

    References:
        van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 2008; initialised by PCA after Kobak and
        Linderman, doi:10.1038/s41587-020-00809-z.
    """
    spread = np.unique(features, axis=0)
    if len(spread) < FEWEST:
        return Embedding(_principal(features, 2), "PCA")
    few = _principal(features, DIMENSIONS)
    # one job, since several add up gradients in a random order
    tsne = TSNE(
        perplexity=min(PERPLEXITY, (len(few) - 1) / 3),
        n_jobs=1,
        random_state=0,
        neighbors="exact",
        negative_gradient_method="bh",
        initialization="pca",
    )
    return Embedding(np.asarray(tsne.fit(few), dtype=np.float64), "t-SNE")


def _principal(features: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Return the ``dimensions`` of largest variance, padded with zeros to two."""
    centred = features - features.mean(0)
    scale = np.abs(centred).max(initial=0.0)
    if scale == 0:
        return np.zeros((len(features), 2))
    n = min(dimensions, *features.shape)
    solver = "covariance_eigh" if features.shape[1] <= WIDE else "randomized"
    found = PCA(n, svd_solver=solver, random_state=0).fit_transform(centred / scale)
    return np.pad(found, ((0, 0), (0, max(0, 2 - n))))
