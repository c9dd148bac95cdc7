import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate.methods.align.mcc import class_confusion


def by_hand(z, temperature):
    """Equations 2 to 6 of the paper, one example and one class at a time."""
    n, k = z.shape
    p = np.exp(z / temperature)
    p /= p.sum(1, keepdims=True)
    entropy = np.array([-sum(q * np.log(q) for q in row) for row in p])
    w = n * (1 + np.exp(-entropy)) / sum(1 + np.exp(-h) for h in entropy)
    c = np.array([[sum(p[i, a] * w[i] * p[i, b] for i in range(n)) for b in range(k)] for a in range(k)])
    c /= c.sum(1, keepdims=True)
    return sum(c[a, b] for a in range(k) for b in range(k) if a != b) / k


@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 999), st.sampled_from([1.0, 2.5]))
def test_class_confusion_is_the_papers(n, k, seed, temperature):
    z = torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    np.testing.assert_allclose(class_confusion(z, temperature).item(), by_hand(z.numpy(), temperature), rtol=1e-9)


def test_certain_predictions_are_not_confused():
    assert class_confusion(100 * torch.eye(4), 1.0) < 1e-6
