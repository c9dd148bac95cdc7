import torch
from hypothesis import given
from hypothesis import strategies as st

from acclimate.data.packing import pack, unpack
from acclimate.nn import join


def pictures(n, size, seed=0):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def words(n, width, dtype):
    x = torch.randn(n, width, generator=torch.Generator().manual_seed(1))
    return x if dtype == torch.float32 else (1e4 * x).int()


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 5), st.sampled_from([torch.int32, torch.float32]))
def test_what_was_packed_comes_back(n, size, width, dtype):
    images, texts = pictures(n, size), words(n, width, dtype)
    rows = pack(images, texts)
    assert rows.shape == (n, 3 * size**2 + 4 * width)
    seen, read = unpack(rows, size, dtype)
    assert torch.equal(seen, images)
    assert torch.equal(read, texts)


def test_images_come_back_channels_last():
    seen, _ = unpack(pack(pictures(2, 5), words(2, 3, torch.int32)), 5, torch.int32)
    assert seen.is_contiguous(memory_format=torch.channels_last)


def test_rows_are_joined_and_sliced_as_rows():
    one, two = (pack(pictures(n, 5, n), words(n, 3, torch.int32)) for n in (2, 3))
    both = join(one, two)
    torch.testing.assert_close(unpack(both[2:4], 5, torch.int32), unpack(two[:2], 5, torch.int32), rtol=0, atol=0)
