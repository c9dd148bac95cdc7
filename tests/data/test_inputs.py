import numpy as np
import pytest
import samples
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate.data import inputs as inputs_module
from acclimate.data import load
from acclimate.data.inputs import (
    ArrayImageInputs,
    DenseInputs,
    ImageInputs,
    JoinedInputs,
    PackedInputs,
    SparseInputs,
    TokenInputs,
    joined,
)

BOTH = JoinedInputs(DenseInputs(np.arange(10.0)[:5, None]), DenseInputs(np.arange(10.0)[5:, None]))


@given(st.lists(st.integers(0, 9), min_size=1))
def test_rows_of_two_domains_come_as_if_they_were_one(index):
    assert len(BOTH) == 10
    assert BOTH.batch(np.array(index))[:, 0].tolist() == index


def test_packed_rows_change_with_either_and_join_as_rows(tmp_path):
    images = ImageInputs(load(samples.images(tmp_path / "a")).examples, 12)
    texts = [TokenInputs(np.arange(18, dtype=np.int32).reshape(6, 3) + i) for i in (0, 1)]
    one, other = (PackedInputs(images, text) for text in texts)
    assert one.digest() != other.digest()
    both = JoinedInputs(one, other).batch(np.array([7, 0]))
    assert torch.equal(both, torch.cat([other.batch(np.array([1])), one.batch(np.array([0]))]))


def test_images_of_two_domains_come_as_if_they_were_one(tmp_path):
    a, b = (ImageInputs(load(samples.images(tmp_path / n, "xy")).examples, 16) for n in "ab")
    joined = JoinedInputs(a, b)
    expected = torch.stack([b.batch(np.array([2]))[0], a.batch(np.array([1]))[0]])
    assert torch.equal(joined.batch(np.array([8, 1])), expected)
    assert not joined.in_memory


@pytest.mark.parametrize("kind", [DenseInputs, lambda x: SparseInputs(scipy.sparse.csr_array(x))])
def test_numbers_of_two_domains_lie_in_one_piece(kind):
    first, second = np.eye(3, 4, dtype=np.float32), np.ones((2, 4), dtype=np.float32)
    both = joined(kind(first), kind(second))
    assert type(both) is type(kind(first))
    np.testing.assert_array_equal(both.batch(np.array([4, 1])).to_dense(), [[1, 1, 1, 1], [0, 1, 0, 0]])


def test_images_resized_a_few_at_a_time_are_the_same(monkeypatch):
    array = np.random.default_rng(0).integers(0, 256, (7, 20, 24, 3)).astype(np.uint8)
    whole = ArrayImageInputs(array, 16).x
    monkeypatch.setattr(inputs_module, "RESIZED_AT_ONCE", 20 * 24 * 3 * 4 * 2)
    assert torch.equal(ArrayImageInputs(array, 16).x, whole)
