"""Views of a batch: the same examples, seen a little or very differently, each by its own draw.

What a batch is decides what is done to it: images ``(n, c, h, w)`` with values from 0 to 255, as uint8 or float;
vectors ``(n, d)``; or rows that are mostly zero, in torch's CSR layout. A view has the shape, type and memory layout of
what it is a view of. All randomness comes from torch's generator of the batch's device, as draws of one row for each
example, so that a training that is cut off goes on to the same weights.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from acclimate.nn import csr_rows

OPERATIONS = (
    "nothing", "autocontrast", "brightness", "color", "contrast", "invert", "posterize", "solarize",
    "rotate", "shear x", "shear y", "translate x", "translate y",
)  # fmt: skip
"""What a strong view of an image is made of."""


def weak(x: Tensor, *, strength: float = 1.0, flip: bool = False) -> Tensor:
    r"""A view that changes next to nothing: who labels an example may look at it.

    Images are shifted by up to an eighth of their side, what comes in being their mirrored border; vectors get
    Gaussian noise of a tenth of each feature's standard deviation in the batch; sparse rows lose a twentieth of their
    non-zeros, the others growing so that the mean stays.

    Args:
        x: Images, vectors or sparse rows, each with the examples first.
        strength: Multiplies all of these; 0 gives ``x`` itself.
        flip: Whether half of the images are mirrored left to right; digits and text must not be.

    Reference:
        The shifts: Sohn et al., FixMatch, NeurIPS 2020. arXiv:2001.07685
    """
    if strength == 0:
        return x
    if x.layout == torch.sparse_csr:
        return _thinned(x, 0.05 * strength)
    if x.ndim == 4:
        return _shifted(x, 0.125 * strength, flip)
    return _noisy(x, 0.1 * strength)


def strong(x: Tensor, *, strength: float = 1.0, flip: bool = False) -> Tensor:
    r"""A view that is hard to know again: who is to learn invariance looks at it.

    Each image gets two operations drawn from `OPERATIONS` with magnitudes of their own (RandAugment), and then a grey
    square of up to half its side (cutout). Two things are simpler than in the paper: moves come after changes of
    tone, so that an image is resampled once, and equalising and sharpening are left out. Grey is the mean of the
    channels, and what comes in at the border is black. Vectors lose a fifth of their features, which take the batch's
    mean, and get noise of three tenths of each feature's standard deviation; sparse rows lose three tenths of their
    non-zeros.

    Args:
        x: Images, vectors or sparse rows, each with the examples first.
        strength: Of images, the largest magnitude in [0, 1]: an operation drawn with a larger one is not done, so that
            they become both milder and rarer; 1 is the paper's. Otherwise it multiplies shares and noise. 0 gives
            ``x`` itself.
        flip: Whether half of the images are mirrored left to right.

    Reference:
        Cubuk et al., RandAugment, CVPR workshops 2020. arXiv:1909.13719; DeVries and Taylor, Improved Regularization
        of Convolutional Neural Networks with Cutout, 2017. arXiv:1708.04552; the ranges: Sohn et al., FixMatch,
        NeurIPS 2020, appendix. arXiv:2001.07685
    """
    if strength == 0:
        return x
    if x.layout == torch.sparse_csr:
        return _thinned(x, 0.3 * strength)
    if x.ndim == 4:
        return _augmented(x, strength, flip)
    kept = torch.rand(x.shape, device=x.device) >= 0.2 * strength
    return torch.where(kept, _noisy(x, 0.3 * strength), x.mean(0))


def _thinned(x: Tensor, share: float) -> Tensor:
    share = min(share, 0.9)
    kept = torch.rand(x.values().shape, device=x.device) >= share
    return csr_rows(x.crow_indices(), x.col_indices(), x.values() * kept / (1 - share), x.shape[1])


def _noisy(x: Tensor, scale: float) -> Tensor:
    return x + scale * x.std(0, correction=0) * torch.randn(x.shape, device=x.device, dtype=x.dtype)


def _shifted(x: Tensor, share: float, flip: bool) -> Tensor:
    """Images moved by whole pixels, up to ``share`` of their side, and mirrored at random if ``flip``."""
    n, _, h, w = x.shape
    drawn = torch.rand(n, 3, device=x.device, dtype=torch.float32)
    rows = _moved_indices(h, drawn[:, 0], share)
    columns = _moved_indices(w, drawn[:, 1], share)
    if flip:
        columns = torch.where(drawn[:, 2:] < 0.5, columns.flip(1), columns)
    each = torch.arange(n, device=x.device)[:, None, None]
    return torch.empty_like(x).copy_(x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].movedim(3, 1))


def _moved_indices(size: int, drawn: Tensor, share: float) -> Tensor:
    """Which of ``size`` pixels each one shows, ``(n, size)``; beyond the border those before it, mirrored."""
    most = min(round(share * size), size - 1)
    shift = (drawn * (2 * most + 1)).long() - most
    index = (torch.arange(size, device=drawn.device) + shift[:, None]).abs()
    return torch.where(index < size, index, 2 * (size - 1) - index)


def _augmented(x: Tensor, strength: float, flip: bool) -> Tensor:
    n = len(x)
    drawn = torch.rand(n, 10, device=x.device, dtype=torch.float32)  # whatever type the weights have
    level, sign = drawn[:, :2], 2 * drawn[:, 2:4].round() - 1
    chosen = torch.where(level < strength, (drawn[:, 4:6] * len(OPERATIONS)).long(), 0)
    y, move = x.float().contiguous(), torch.eye(3, device=x.device, dtype=torch.float32).expand(n, 3, 3)
    if flip:
        y = torch.where(drawn[:, 6].view(-1, 1, 1, 1) < 0.5, y.flip(3), y)
    for i in (0, 1):
        y = _toned(y, chosen[:, i], level[:, i])
        move = move @ _move(chosen[:, i], level[:, i] * sign[:, i])
    y = grid_sample(y, affine_grid(move[:, :2], list(y.shape), align_corners=False), align_corners=False)
    y = torch.where(_square(drawn[:, 7:], min(strength, 1.0) / 2, y), 127.0, y)
    return torch.empty_like(x).copy_(y if x.dtype.is_floating_point else y.round())


def _toned(x: Tensor, chosen: Tensor, level: Tensor) -> Tensor:
    """Images ``(n, c, h, w)`` each with its change of tone: ``level (n,)`` in [0, 1] is how far it goes."""
    y = x.clone()
    for name, tone in TONES.items():
        [rows] = torch.where(chosen == OPERATIONS.index(name))  # few images ask for the same
        y[rows] = tone(x[rows], level[rows].view(-1, 1, 1, 1))
    return y


def _stretched(x: Tensor, level: Tensor) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return (x - low) * (255 / (high - low).clamp(min=1))


def _posterized(x: Tensor, level: Tensor) -> Tensor:
    step = torch.exp2((4 * level).round())  # of eight bits, at least four stay
    return (x / step).floor() * step


TONES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "autocontrast": _stretched,
    "brightness": lambda x, level: x * (1 - 0.95 * level),
    "color": lambda x, level: x.lerp(x.mean(1, keepdim=True), 0.95 * level),
    "contrast": lambda x, level: x.lerp(x.mean((1, 2, 3), keepdim=True), 0.95 * level),
    "invert": lambda x, level: 255 - x,
    "posterize": _posterized,
    "solarize": lambda x, level: torch.where(x >= 256 * (1 - level), 255 - x, x),
}


def _move(chosen: Tensor, level: Tensor) -> Tensor:
    """Where each pixel looks, ``(n, 3, 3)``, in coordinates from −1 to 1: ``level (n,)`` in [−1, 1] is how far off."""

    def by(name: str, most: float) -> Tensor:
        return most * level * (chosen == OPERATIONS.index(name))

    angle, zero, one = by("rotate", math.radians(30)), torch.zeros_like(level), torch.ones_like(level)
    rows = (
        [angle.cos(), by("shear x", 0.3) - angle.sin(), by("translate x", 0.6)],  # 0.3 of a side that is 2 long
        [by("shear y", 0.3) + angle.sin(), angle.cos(), by("translate y", 0.6)],
        [zero, zero, one],
    )
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _square(drawn: Tensor, most: float, like: Tensor) -> Tensor:
    """Where a square of up to ``most`` of the side lies, ``(n, 1, h, w)``: ``drawn (n, 3)`` is its middle and size."""
    h, w = like.shape[2:]
    y, x, half = (drawn[:, i].view(-1, 1, 1, 1) for i in range(3))
    rows = torch.linspace(0, 1, h, device=like.device, dtype=like.dtype).view(1, 1, h, 1)
    columns = torch.linspace(0, 1, w, device=like.device, dtype=like.dtype).view(1, 1, 1, w)
    return ((rows - y).abs() < half * most / 2) & ((columns - x).abs() < half * most / 2)
