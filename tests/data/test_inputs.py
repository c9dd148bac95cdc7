import numpy as np
import samples
import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate.data import load
from acclimate.data.inputs import DenseInputs, ImageInputs, JoinedInputs

BOTH = JoinedInputs(DenseInputs(np.arange(10.0)[:5, None]), DenseInputs(np.arange(10.0)[5:, None]))


@given(st.lists(st.integers(0, 9), min_size=1))
def test_rows_of_two_domains_come_as_if_they_were_one(index):
    assert len(BOTH) == 10
    assert BOTH.batch(np.array(index))[:, 0].tolist() == index


def test_images_of_two_domains_come_as_if_they_were_one(tmp_path):
    a, b = (ImageInputs(load(samples.images(tmp_path / n, "xy")).examples, 16) for n in "ab")
    joined = JoinedInputs(a, b)
    expected = torch.stack([b.batch(np.array([2]))[0], a.batch(np.array([1]))[0]])
    assert torch.equal(joined.batch(np.array([8, 1])), expected)
    assert not joined.in_memory
