"""The proxy A-distance, and the bound on the target's error that it stands in."""

import warnings

import numpy as np

from acclimate.shift.two_sample import Rows

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse regularisations that are tried."""
MOST = 2000
"""Most examples of a domain that are used."""


def proxy_a_distance(source: Rows, target: Rows, *, seed: int = 0) -> float:
    r"""Estimate how far apart two domains are, from 0 (a linear classifier cannot tell them apart) to 2 (always).

    .. math:: \hat d_{\mathcal A} = 2 (1 - 2 \varepsilon)

    with the error :math:`\varepsilon` of linear SVMs that are fitted on a half of both domains and scored on the other
    half: the smallest over several strengths of regularisation, as in the paper, which makes it a little too large.

    Args:
        source: Features ``(n, d)`` without missing values.
        target: Features ``(m, d)``; the larger domain is cut to the size of the smaller.
        seed: Seed of the halves.

    Reference:
        Ben-David et al., Analysis of Representations for Domain Adaptation, NeurIPS 2006; protocol of Ganin et al.,
        Domain-Adversarial Training of Neural Networks, JMLR 2016. arXiv:1505.07818
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    rng, n = np.random.default_rng(seed), min(len(source), len(target), MOST)
    parts = [x[rng.permutation(len(x))[:n]] for x in (source, target)]
    half = n // 2
    x, new = (np.concatenate([part[rows] for part in parts]) for rows in (slice(half), slice(half, n)))
    y, truth = np.repeat([0, 1], half), np.repeat([0, 1], n - half)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = (make_pipeline(StandardScaler(), LinearSVC(C=c)).fit(x, y) for c in STRENGTHS)
        error = min(float(np.mean(model.predict(new) != truth)) for model in models)
    return max(0.0, 2 * (1 - 2 * error))
