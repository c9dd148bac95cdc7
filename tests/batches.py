"""Batches as a loader gives them."""

import numpy as np
import scipy.sparse
import torch

from acclimate.data.inputs import SparseInputs


def images(n=64, size=32, seed=0):
    """As a loader gives them: uint8, channels last in memory."""
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=g).permute(0, 3, 1, 2)


def vectors(n=500, seed=0):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)) * torch.tensor([1.0, 2, 3, 4, 5, 0])


def sparse(n=50):
    x = scipy.sparse.random_array((n, 300), density=0.1, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    return SparseInputs(x).batch(np.arange(n))
