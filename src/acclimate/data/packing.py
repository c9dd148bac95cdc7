"""Images and texts of the same examples in one tensor, so that code for batches handles both."""

import torch
from torch import Tensor


def pack(images: Tensor, texts: Tensor) -> Tensor:
    """Return rows of bytes ``(n, 3 s² + 4 w)``: the image's, then the text's.

    Args:
        images: ``(n, 3, s, s)`` of uint8.
        texts: ``(n, w)`` of int32 or float32: tokens, or word weights.
    """
    pixels = images.permute(0, 2, 3, 1).flatten(1)
    return torch.cat([pixels, texts.contiguous().view(torch.uint8)], 1)


def unpack(rows: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return what `pack` was given, with the images channels-last in memory.

    Args:
        rows: ``(n, 3 s² + 4 w)``.
        size: ``s``.
        dtype: The type of the texts.
    """
    n = 3 * size * size
    pixels = rows[:, :n].reshape(-1, size, size, 3).permute(0, 3, 1, 2)
    # a copy, since numbers of four bytes must start at a multiple of four
    words = rows[:, n:].clone(memory_format=torch.contiguous_format)
    return pixels.contiguous(memory_format=torch.channels_last), words.view(dtype)
