"""Views of a batch: the same examples, weakly or strongly augmented, each with its own random draw.

The kind of batch decides the augmentation: images ``(n, c, h, w)`` with values from 0 to 255, as uint8 or float;
vectors ``(n, d)``; sparse rows in torch's CSR layout; or tokens ``(n, length)``, integers with -1 as padding. A view
keeps the shape, type and memory layout of its batch. All random numbers come from torch's generator of the batch's
device, one row of draws per example, so that an interrupted training resumes to the same weights.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from acclimate.errors import BadInput
from acclimate.nn import csr_rows
from acclimate.nn.replicas import WHOLE, Replica

OPERATIONS = (
    "nothing", "autocontrast", "brightness", "color", "contrast", "invert", "posterize", "solarize",
    "rotate", "shear x", "shear y", "translate x", "translate y",
)  # fmt: skip
"""Operations that a strong view of an image draws from."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey value of a colour (ITU-R BT.601)."""


def weak(x: Tensor, *, strength: float = 1.0, flip: bool = False, replica: Replica = WHOLE) -> Tensor:
    r"""A weak view, close enough to the example to pseudo-label it.

    Images shift by up to an eighth of their side, with a mirrored border; vectors get Gaussian noise of a tenth of
    each feature's standard deviation in the batch; sparse rows lose a twentieth of their non-zeros, the others scaled
    up to keep the mean; texts lose a twentieth of their tokens, never the first.

    Args:
        x: Images, vectors, sparse rows or tokens, with the examples along the first dimension.
        strength: Multiplies all of these; 0 returns ``x`` itself.
        flip: Whether to mirror half of the images left to right; not for digits or text.
        replica: Which rows of the whole batch they are.

    Reference:
        The shifts: Sohn et al., FixMatch, NeurIPS 2020. arXiv:2001.07685
    """
    if strength == 0:
        return x
    if x.layout == torch.sparse_csr:
        return _drop_values(x, 0.05 * strength, replica)
    if not x.is_floating_point() and x.ndim == 2:
        return _drop_tokens(x, 0.05 * strength, replica)
    if x.ndim == 4:
        return _shifted(x, 0.125 * strength, flip, replica)
    return _noisy(x, 0.1 * strength, replica)


def strong(x: Tensor, *, strength: float = 1.0, flip: bool = False, replica: Replica = WHOLE) -> Tensor:
    r"""A strong view, from which a model learns invariance.

    Each image gets two operations drawn from `OPERATIONS`, each with its own magnitude (RandAugment), and then a grey
    square of up to half its side (cutout). Two things are simpler than in the paper: geometric operations come after
    changes of tone, so that an image is resampled once, and there is no equalising or sharpening. Grey is the mean of
    the channels, and pixels from beyond the border are black. Vectors lose a fifth of their features, replaced by the
    batch's mean, and get noise of three tenths of each feature's standard deviation; sparse rows lose three tenths of
    their non-zeros; texts lose three tenths of their tokens, never the first.

    Args:
        x: Images, vectors, sparse rows or tokens, with the examples along the first dimension.
        strength: For images, the largest magnitude in [0, 1]: operations drawn with a larger one are skipped, so that
            they become both milder and rarer; 1 is the paper's. Otherwise it multiplies fractions and noise. 0 returns
            ``x`` itself.
        flip: Whether to mirror half of the images left to right.
        replica: Which rows of the whole batch they are.

    Reference:
        Cubuk et al., RandAugment, CVPR workshops 2020. arXiv:1909.13719; DeVries and Taylor, Improved Regularization
        of Convolutional Neural Networks with Cutout, 2017. arXiv:1708.04552; the ranges: Sohn et al., FixMatch,
        NeurIPS 2020, appendix. arXiv:2001.07685
    """
    if strength == 0:
        return x
    if x.layout == torch.sparse_csr:
        return _drop_values(x, 0.3 * strength, replica)
    if not x.is_floating_point() and x.ndim == 2:
        return _drop_tokens(x, 0.3 * strength, replica)
    if x.ndim == 4:
        return _augmented(x, strength, flip, replica)
    kept = replica.uniform(x, *x.shape[1:]) >= 0.2 * strength
    return torch.where(kept, _noisy(x, 0.3 * strength, replica), replica.gather(x).mean(0))


def flip_crop(x: Tensor, replica: Replica = WHOLE) -> Tensor:
    """Mirror half of the images left to right, and resize a random crop of each to the whole's size.

    The crop has 0.7 to 1 of the area and an aspect ratio of 3:4 to 4:3, as far as it fits into the image. Not for
    digits or text, which must not be mirrored.

    Args:
        x: Images ``(n, c, h, w)``.
        replica: Which rows of the whole batch they are.

    Reference:
        Crops of random size and shape: Szegedy et al., Going Deeper with Convolutions, CVPR 2015. arXiv:1409.4842;
        the smallest area is that of the code of Gulrajani and Lopez-Paz, In Search of Lost Domain Generalization, ICLR
        2021. arXiv:2007.01434
    """
    return _as(x, _cropped(x.float(), replica.uniform(x, 5), 0.7, flip=True))


def trivial(x: Tensor, replica: Replica = WHOLE) -> Tensor:
    """Apply to each image one operation drawn from `OPERATIONS`, at a magnitude drawn uniformly: TrivialAugment.

    Operations and ranges are those of `strong`; magnitudes are continuous where the paper has 31.

    Args:
        x: Images ``(n, c, h, w)``.
        replica: Which rows of the whole batch they are.

    Reference:
        Müller and Hutter, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation, ICCV 2021.
        arXiv:2103.10158
    """
    drawn = replica.uniform(x, 3)
    chosen, level, sign = (drawn[:, 0] * len(OPERATIONS)).long(), drawn[:, 1], 2 * drawn[:, 2].round() - 1
    toned = _toned(x.float().contiguous(), chosen, level)
    return _as(x, _resampled(toned, _move(chosen, level * sign)))


def noise(x: Tensor, replica: Replica = WHOLE) -> Tensor:
    """Add Gaussian noise: to each image with a standard deviation drawn up to a tenth of the pixel range.

    Vectors and rows of tables, which are standardised, get noise of a tenth of a standard deviation.

    Args:
        x: Images ``(n, c, h, w)`` or vectors ``(n, d)``.
        replica: Which rows of the whole batch they are.
    """
    if x.ndim == 2:
        return x + 0.1 * replica.normal(x).to(x.dtype)
    scale = 25.5 * replica.uniform(x, 1, 1, 1)
    return _as(x, (x + scale * replica.normal(x)).clamp(0, 255))


def _resampled(y: Tensor, move: Tensor) -> Tensor:
    """Resample images by the affine maps ``move (n, 3, 3)``; black beyond the border."""
    return grid_sample(y, affine_grid(move[:, :2], list(y.shape), align_corners=False), align_corners=False)


def _as(x: Tensor, y: Tensor) -> Tensor:
    """Return ``y`` in the type and memory layout of ``x``."""
    return torch.empty_like(x).copy_(y if x.dtype.is_floating_point else y.round())


def _drop_values(x: Tensor, fraction: float, replica: Replica) -> Tensor:
    fraction = min(fraction, 0.9)
    kept = _drawn_for_values(x, replica) >= fraction
    return csr_rows(x.crow_indices(), x.col_indices(), x.values() * kept / (1 - fraction), x.shape[1])


def _drawn_for_values(x: Tensor, replica: Replica) -> Tensor:
    """Numbers from 0 to 1, one for each non-zero of CSR rows ``x``."""
    if replica.world == 1:
        return torch.rand(x.values().shape, device=x.device)
    counts = replica.gather(x.crow_indices().diff())
    own = torch.arange(len(counts), device=x.device) % replica.world == replica.rank
    return torch.rand(int(counts.sum()), device=x.device)[own.repeat_interleave(counts)]


def _drop_tokens(x: Tensor, fraction: float, replica: Replica) -> Tensor:
    """Drop a fraction of the tokens; the first stays, as it may represent the whole text."""
    dropped = replica.uniform(x, *x.shape[1:]) < min(fraction, 0.9)
    dropped[:, 0] = False
    return x.masked_fill(dropped, -1)


def _noisy(x: Tensor, scale: float, replica: Replica) -> Tensor:
    return x + scale * replica.gather(x).std(0, correction=0) * replica.normal(x).to(x.dtype)


def _shifted(x: Tensor, fraction: float, flip: bool, replica: Replica) -> Tensor:
    """Shift images by whole pixels, up to ``fraction`` of their side, and mirror half of them if ``flip``."""
    n, _, h, w = x.shape
    drawn = replica.uniform(x, 3)
    rows = _shifted_indices(h, drawn[:, 0], fraction)
    columns = _shifted_indices(w, drawn[:, 1], fraction)
    if flip:
        columns = torch.where(drawn[:, 2:] < 0.5, columns.flip(1), columns)
    each = torch.arange(n, device=x.device)[:, None, None]
    return torch.empty_like(x).copy_(x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].movedim(3, 1))


def _shifted_indices(size: int, drawn: Tensor, fraction: float) -> Tensor:
    """Source pixel of each of ``size`` pixels, ``(n, size)``; mirrored at the border."""
    largest = min(round(fraction * size), size - 1)
    shift = (drawn * (2 * largest + 1)).long() - largest
    index = (torch.arange(size, device=drawn.device) + shift[:, None]).abs()
    return torch.where(index < size, index, 2 * (size - 1) - index)


def _augmented(x: Tensor, strength: float, flip: bool, replica: Replica) -> Tensor:
    n = len(x)
    drawn = replica.uniform(x, 10)
    level, sign = drawn[:, :2], 2 * drawn[:, 2:4].round() - 1
    chosen = torch.where(level < strength, (drawn[:, 4:6] * len(OPERATIONS)).long(), 0)
    y, move = x.float().contiguous(), torch.eye(3, device=x.device, dtype=torch.float32).expand(n, 3, 3)
    if flip:
        y = torch.where(drawn[:, 6].view(-1, 1, 1, 1) < 0.5, y.flip(3), y)
    for i in (0, 1):
        y = _toned(y, chosen[:, i], level[:, i])
        move = move @ _move(chosen[:, i], level[:, i] * sign[:, i])
    y = _resampled(y, move)
    return _as(x, torch.where(_square(drawn[:, 7:], min(strength, 1.0) / 2, y), 127.0, y))


def _toned(x: Tensor, chosen: Tensor, level: Tensor) -> Tensor:
    """Apply to each image ``(n, c, h, w)`` its change of tone, with magnitude ``level (n,)`` in [0, 1]."""
    y = x.clone()
    for name, tone in TONES.items():
        [rows] = torch.where(chosen == OPERATIONS.index(name))  # few images draw the same operation
        y[rows] = tone(x[rows], level[rows].view(-1, 1, 1, 1))
    return y


def _stretched(x: Tensor, level: Tensor) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return (x - low) * (255 / (high - low).clamp(min=1))


def _posterized(x: Tensor, level: Tensor) -> Tensor:
    step = torch.exp2((4 * level).round())  # keeps at least four of eight bits
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
    """Affine maps ``(n, 3, 3)`` from pixel to source pixel, coordinates from −1 to 1, by ``level (n,)`` in [−1, 1]."""

    def amount(name: str, largest: float) -> Tensor:
        return largest * level * (chosen == OPERATIONS.index(name))

    angle, zero, one = amount("rotate", math.radians(30)), torch.zeros_like(level), torch.ones_like(level)
    rows = (
        [angle.cos(), amount("shear x", 0.3) - angle.sin(), amount("translate x", 0.6)],  # 0.3 of a side of length 2
        [amount("shear y", 0.3) + angle.sin(), angle.cos(), amount("translate y", 0.6)],
        [zero, zero, one],
    )
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _square(drawn: Tensor, largest: float, like: Tensor) -> Tensor:
    """Mask ``(n, 1, h, w)`` of a square of up to ``largest`` of the side; ``drawn (n, 3)`` is its centre and size."""
    h, w = like.shape[2:]
    y, x, half = (drawn[:, i].view(-1, 1, 1, 1) for i in range(3))
    rows = torch.linspace(0, 1, h, device=like.device, dtype=like.dtype).view(1, 1, h, 1)
    columns = torch.linspace(0, 1, w, device=like.device, dtype=like.dtype).view(1, 1, 1, w)
    return ((rows - y).abs() < half * largest / 2) & ((columns - x).abs() < half * largest / 2)


def pair(
    x: Tensor, *, crop: float = 0.08, flip: bool = True, colours: bool = True, replica: Replica = WHOLE
) -> tuple[Tensor, Tensor]:
    r"""Two strongly augmented views of each image, drawn as BYOL's.

    A crop of ``crop`` to all of the image's area is resized to the image's size; half are mirrored. In four of five,
    brightness, contrast and saturation (by up to 0.4, 0.4 and 0.2 of their value) and hue (by up to a tenth of a turn)
    change; one in five becomes grey. All of the first views and a tenth of the second are blurred by a Gaussian of 0.1
    to 2 pixels in 224, and a fifth of the second are solarised: their bright parts are inverted.

    Simpler than in the paper: images are resampled linearly; tones change in a fixed order and are clipped once, after
    all changes; hue rotates about the grey axis.

    Args:
        x: Images ``(n, c, h, w)``.
        crop: The smallest fraction of an image's area to show. Use a third or more for small images that one object
            fills; the paper's value suits photographs.
        flip: Whether to mirror half of the images left to right; not for digits or text.
        colours: Whether tones change; if not, images are only cropped, mirrored and blurred.
        replica: Which rows of the whole batch they are.

    Raises:
        BadInput: The examples are not images.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, appendix B. arXiv:2006.07733
    """
    if x.ndim != 4:
        raise BadInput("two views are cropped from each image, but these inputs are vectors; use another method")
    with torch.autocast(x.device.type, enabled=False):  # half precision has too few digits for a pixel
        first = _view(x, replica.uniform(x, 14), crop, flip, colours, blurred=1.0, inverted=0.0)
        return first, _view(x, replica.uniform(x, 14), crop, flip, colours, blurred=0.1, inverted=0.2)


def _view(
    x: Tensor, drawn: Tensor, crop: float, flip: bool, colours: bool, *, blurred: float, inverted: float
) -> Tensor:
    """One view of a pair, by what is ``drawn (n, 14)``; ``blurred`` and ``inverted`` are the fractions of images."""
    y = _cropped(x.float().contiguous(), drawn[:, :5], crop, flip)
    y = _tinted(y, drawn[:, 5:11]) if colours else y
    y = _blurred(y, torch.where(drawn[:, 11] < blurred, (0.1 + 1.9 * drawn[:, 12]) / 224, 0.0))
    if colours:
        chosen = (drawn[:, 13] < inverted).view(-1, 1, 1, 1)
        y = torch.where(chosen & (y >= 128), 255 - y, y)
    return _as(x, y)


def _cropped(x: Tensor, drawn: Tensor, smallest: float, flip: bool) -> Tensor:
    """Crop ``smallest`` to all of the area with an aspect ratio of 3:4 to 4:3, and resize to the images' size."""
    area = smallest + (1 - smallest) * drawn[:, 0]
    sides = torch.exp((2 * drawn[:, 1] - 1) * (-area.log()).clamp(max=math.log(4 / 3)))  # neither exceeds the image
    width, height, zero = (area * sides).sqrt(), (area / sides).sqrt(), torch.zeros_like(area)
    mirrored = torch.where(drawn[:, 4] < 0.5, -width, width) if flip else width
    across = torch.stack([mirrored, zero, (1 - width) * (2 * drawn[:, 2] - 1)], 1)
    down = torch.stack([zero, height, (1 - height) * (2 * drawn[:, 3] - 1)], 1)
    grid = affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def _tinted(x: Tensor, drawn: Tensor) -> Tensor:
    """Change brightness, contrast, hue and saturation: all linear maps of colours, so one matrix for each image."""
    n, c, h, w = x.shape
    largest = torch.tensor([0.4, 0.4, 0.2, 0.1], device=x.device) * (drawn[:, 4:5] < 0.8)
    change = largest * (2 * drawn[:, :4] - 1)
    brightness, contrast, saturation = (1 + change[:, :3]).T.view(3, -1, 1, 1)
    kept = torch.where(drawn[:, 5].view(-1, 1, 1) < 0.2, 0.0, saturation)
    luma, identity = torch.tensor(LUMA, device=x.device), torch.eye(3, device=x.device)
    matrix = luma.expand(3, 3).lerp(identity, kept) @ _hue_rotation(2 * math.pi * change[:, 3])
    colour = x.expand(n, 3, h, w).flatten(2)
    grey = luma @ colour.mean(2, keepdim=True)  # saturation and hue leave greys as they are
    y: Tensor = brightness * (contrast * (matrix @ colour) + (1 - contrast) * grey[:, None])
    return y.clamp(0, 255).view(n, 3, h, w)[:, :c]


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotations of colours about the grey axis, ``(n, 3, 3)``, by ``angle (n,)``."""
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device) / 3**0.5
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    return cos * torch.eye(3, device=angle.device) + (1 - cos) / 3 + sin * cross


def _blurred(x: Tensor, scale: Tensor) -> Tensor:
    """Blur by a Gaussian with a standard deviation of ``scale (n,)`` of a side, renormalised at the border."""
    down, across = (_gaussian(size, scale * size) for size in x.shape[2:])
    return down[:, None] @ x @ across[:, None].mT


def _gaussian(size: int, deviation: Tensor) -> Tensor:
    """Blurring matrices ``(n, size, size)``: the weight of each pixel in each."""
    position = torch.arange(size, device=deviation.device, dtype=deviation.dtype)
    distance = (position[:, None] - position) / deviation.clamp(min=0.01).view(-1, 1, 1)
    return torch.softmax(-distance.square() / 2, 2)
