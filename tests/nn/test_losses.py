import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate.nn import aligned, warm_up


def test_the_weight_of_pseudo_labels_grows_in_the_first_half_and_stays():
    assert [round(warm_up(p), 4) for p in (0, 0.125, 0.25, 0.5, 0.75, 1)] == [0, 0.1464, 0.5, 1, 1, 1]


@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 999))
def test_aligned_predictions_are_predictions(n, k, seed):
    g = torch.Generator().manual_seed(seed)
    source, target = torch.randn(n + 3, k, generator=g).softmax(1), torch.randn(n, k, generator=g).softmax(1)
    torch.testing.assert_close(aligned(target, source).sum(1), torch.ones(n))
    torch.testing.assert_close(aligned(target, target), target)
