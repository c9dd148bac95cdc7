"""Views of a batch: the same examples, seen a little or very differently, each by its own draw.

What a batch is decides what is done to it: images ``(n, c, h, w)`` with values from 0 to 255, as uint8 or float;
vectors ``(n, d)``; rows that are mostly zero, in torch's CSR layout; or tokens ``(n, length)``, whole numbers and -1
where there is none. A view has the shape, type and memory layout of
what it is a view of. All randomness comes from torch's generator of the batch's device, as draws of one row for each
example, so that a training that is cut off goes on to the same weights.
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
"""What a strong view of an image is made of."""
LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue count for the grey of a colour (ITU-R BT.601)."""


def weak(x: Tensor, *, strength: float = 1.0, flip: bool = False, replica: Replica = WHOLE) -> Tensor:
    r"""A view that changes next to nothing: who labels an example may look at it.

    Images are shifted by up to an eighth of their side, what comes in being their mirrored border; vectors get
    Gaussian noise of a tenth of each feature's standard deviation in the batch; sparse rows lose a twentieth of their
    non-zeros, the others growing so that the mean stays, and texts a twentieth of their tokens, the first excepted.

    Args:
        x: Images, vectors, sparse rows or tokens, each with the examples first.
        strength: Multiplies all of these; 0 gives ``x`` itself.
        flip: Whether half of the images are mirrored left to right; digits and text must not be.
        replica: Which rows of the whole batch they are.

    Reference:
        The shifts: Sohn et al., FixMatch, NeurIPS 2020. arXiv:2001.07685
    """
    if strength == 0:
        return x
    if x.layout == torch.sparse_csr:
        return _thinned(x, 0.05 * strength, replica)
    if not x.is_floating_point() and x.ndim == 2:
        return _forgotten(x, 0.05 * strength, replica)
    if x.ndim == 4:
        return _shifted(x, 0.125 * strength, flip, replica)
    return _noisy(x, 0.1 * strength, replica)


def strong(x: Tensor, *, strength: float = 1.0, flip: bool = False, replica: Replica = WHOLE) -> Tensor:
    r"""A view that is hard to know again: who is to learn invariance looks at it.

    Each image gets two operations drawn from `OPERATIONS` with magnitudes of their own (RandAugment), and then a grey
    square of up to half its side (cutout). Two things are simpler than in the paper: moves come after changes of
    tone, so that an image is resampled once, and equalising and sharpening are left out. Grey is the mean of the
    channels, and what comes in at the border is black. Vectors lose a fifth of their features, which take the batch's
    mean, and get noise of three tenths of each feature's standard deviation; sparse rows lose three tenths of their
    non-zeros, and texts three tenths of their tokens, the first excepted.

    Args:
        x: Images, vectors, sparse rows or tokens, each with the examples first.
        strength: Of images, the largest magnitude in [0, 1]: an operation drawn with a larger one is not done, so that
            they become both milder and rarer; 1 is the paper's. Otherwise it multiplies shares and noise. 0 gives
            ``x`` itself.
        flip: Whether half of the images are mirrored left to right.
        replica: Which rows of the whole batch they are.

    Reference:
        Cubuk et al., RandAugment, CVPR workshops 2020. arXiv:1909.13719; DeVries and Taylor, Improved Regularization
        of Convolutional Neural Networks with Cutout, 2017. arXiv:1708.04552; the ranges: Sohn et al., FixMatch,
        NeurIPS 2020, appendix. arXiv:2001.07685
    """
    if strength == 0:
        return x
    if x.layout == torch.sparse_csr:
        return _thinned(x, 0.3 * strength, replica)
    if not x.is_floating_point() and x.ndim == 2:
        return _forgotten(x, 0.3 * strength, replica)
    if x.ndim == 4:
        return _augmented(x, strength, flip, replica)
    kept = replica.uniform(x, *x.shape[1:]) >= 0.2 * strength
    return torch.where(kept, _noisy(x, 0.3 * strength, replica), replica.gather(x).mean(0))


def flip_crop(x: Tensor, replica: Replica = WHOLE) -> Tensor:
    """Images mirrored left to right half of the time, and a part of each brought to the whole's size.

    The part has from 0.7 to 1 of the area, and its sides are as 3:4 to 4:3 where that leaves neither longer than the
    image's. Not for digits or text, which must not be mirrored.

    Args:
        x: Images ``(n, c, h, w)``.
        replica: Which rows of the whole batch they are.

    Reference:
        Crops of random size and shape: Szegedy et al., Going Deeper with Convolutions, CVPR 2015. arXiv:1409.4842;
        the least area is that of the code of Gulrajani and Lopez-Paz, In Search of Lost Domain Generalization, ICLR
        2021. arXiv:2007.01434
    """
    return _as(x, _cropped(x.float(), replica.uniform(x, 5), 0.7, flip=True))


def trivial(x: Tensor, replica: Replica = WHOLE) -> Tensor:
    """Images that each get one operation drawn from `OPERATIONS`, of a magnitude drawn from all: TrivialAugment.

    Operations and ranges are those of `strong`; the paper's 31 magnitudes are a continuum here.

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
    """Gaussian noise: of images, with a standard deviation of each that is drawn up to a tenth of the range.

    Vectors and rows of tables, which come standardised, get noise of a tenth of a standard deviation.

    Args:
        x: Images ``(n, c, h, w)`` or vectors ``(n, d)``.
        replica: Which rows of the whole batch they are.
    """
    if x.ndim == 2:
        return x + 0.1 * replica.normal(x).to(x.dtype)
    scale = 25.5 * replica.uniform(x, 1, 1, 1)
    return _as(x, (x + scale * replica.normal(x)).clamp(0, 255))


def _resampled(y: Tensor, move: Tensor) -> Tensor:
    """Images whose pixels are those that ``move (n, 3, 3)`` looks at; black beyond the border."""
    return grid_sample(y, affine_grid(move[:, :2], list(y.shape), align_corners=False), align_corners=False)


def _as(x: Tensor, y: Tensor) -> Tensor:
    """``y`` in the type and the memory layout of ``x``."""
    return torch.empty_like(x).copy_(y if x.dtype.is_floating_point else y.round())


def _thinned(x: Tensor, share: float, replica: Replica) -> Tensor:
    share = min(share, 0.9)
    kept = _drawn_for_values(x, replica) >= share
    return csr_rows(x.crow_indices(), x.col_indices(), x.values() * kept / (1 - share), x.shape[1])


def _drawn_for_values(x: Tensor, replica: Replica) -> Tensor:
    """Numbers from 0 to 1, one for each non-zero of CSR rows ``x``."""
    if replica.world == 1:
        return torch.rand(x.values().shape, device=x.device)
    counts = replica.gather(x.crow_indices().diff())
    own = torch.arange(len(counts), device=x.device) % replica.world == replica.rank
    return torch.rand(int(counts.sum()), device=x.device)[own.repeat_interleave(counts)]


def _forgotten(x: Tensor, share: float, replica: Replica) -> Tensor:
    """Tokens with a share of them gone; the first stays, as it may stand for the whole text."""
    gone = replica.uniform(x, *x.shape[1:]) < min(share, 0.9)
    gone[:, 0] = False
    return x.masked_fill(gone, -1)


def _noisy(x: Tensor, scale: float, replica: Replica) -> Tensor:
    return x + scale * replica.gather(x).std(0, correction=0) * replica.normal(x).to(x.dtype)


def _shifted(x: Tensor, share: float, flip: bool, replica: Replica) -> Tensor:
    """Images moved by whole pixels, up to ``share`` of their side, and mirrored at random if ``flip``."""
    n, _, h, w = x.shape
    drawn = replica.uniform(x, 3)
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


def pair(
    x: Tensor, *, crop: float = 0.08, flip: bool = True, colours: bool = True, replica: Replica = WHOLE
) -> tuple[Tensor, Tensor]:
    r"""Two views of each image that show the same thing and are as unlike as can be, drawn as BYOL's.

    A rectangle of ``crop`` to all of the image's area is brought to the image's size; half are mirrored. In four of
    five the brightness, contrast and saturation (by up to 0.4, 0.4 and 0.2 of themselves) and the hue (by up to a
    tenth of a turn) change, and one in five loses its colours. All of the first views and a tenth of the second are
    blurred by a Gaussian of 0.1 to 2 pixels in 224, and a fifth of the second have their bright parts inverted.

    Simpler than in the paper: images are resampled linearly; tones change in one order and not in a drawn one, and
    are clipped when all have; hue turns about the axis of greys.

    Args:
        x: Images ``(n, c, h, w)``.
        crop: The least share of an image's area that is shown. Of small pictures that one thing fills, a third or
            more; the paper's is of photographs.
        flip: Whether half of the images are mirrored left to right; digits and text must not be.
        colours: Whether tones change: all but crop, mirror and blur.
        replica: Which rows of the whole batch they are.

    Raises:
        BadInput: They are no images.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, appendix B. arXiv:2006.07733
    """
    if x.ndim != 4:
        raise BadInput("two views are cut out of an image, and these are vectors")
    with torch.autocast(x.device.type, enabled=False):  # half a number has too few digits for a pixel
        first = _seen(x, replica.uniform(x, 14), crop, flip, colours, blurred=1.0, inverted=0.0)
        return first, _seen(x, replica.uniform(x, 14), crop, flip, colours, blurred=0.1, inverted=0.2)


def _seen(
    x: Tensor, drawn: Tensor, crop: float, flip: bool, colours: bool, *, blurred: float, inverted: float
) -> Tensor:
    """One of a pair, by what is ``drawn (n, 14)``; ``blurred`` and ``inverted`` are the shares that are."""
    y = _cropped(x.float().contiguous(), drawn[:, :5], crop, flip)
    y = _tinted(y, drawn[:, 5:11]) if colours else y
    y = _blurred(y, torch.where(drawn[:, 11] < blurred, (0.1 + 1.9 * drawn[:, 12]) / 224, 0.0))
    if colours:
        chosen = (drawn[:, 13] < inverted).view(-1, 1, 1, 1)
        y = torch.where(chosen & (y >= 128), 255 - y, y)
    return torch.empty_like(x).copy_(y if x.dtype.is_floating_point else y.round())


def _cropped(x: Tensor, drawn: Tensor, least: float, flip: bool) -> Tensor:
    """Rectangles of ``least`` to all of the area, their sides as 3:4 to 4:3, brought to the images' size."""
    area = least + (1 - least) * drawn[:, 0]
    sides = torch.exp((2 * drawn[:, 1] - 1) * (-area.log()).clamp(max=math.log(4 / 3)))  # neither exceeds the image
    width, height, zero = (area * sides).sqrt(), (area / sides).sqrt(), torch.zeros_like(area)
    mirrored = torch.where(drawn[:, 4] < 0.5, -width, width) if flip else width
    across = torch.stack([mirrored, zero, (1 - width) * (2 * drawn[:, 2] - 1)], 1)
    down = torch.stack([zero, height, (1 - height) * (2 * drawn[:, 3] - 1)], 1)
    grid = affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def _tinted(x: Tensor, drawn: Tensor) -> Tensor:
    """Brightness, contrast, hue and saturation, each a linear map of colours: one matrix for each image."""
    n, c, h, w = x.shape
    most = torch.tensor([0.4, 0.4, 0.2, 0.1], device=x.device) * (drawn[:, 4:5] < 0.8)
    by = most * (2 * drawn[:, :4] - 1)
    bright, contrast, saturation = (1 + by[:, :3]).T.view(3, -1, 1, 1)
    kept = torch.where(drawn[:, 5].view(-1, 1, 1) < 0.2, 0.0, saturation)
    luma, same = torch.tensor(LUMA, device=x.device), torch.eye(3, device=x.device)
    matrix = luma.expand(3, 3).lerp(same, kept) @ _turned(2 * math.pi * by[:, 3])
    colour = x.expand(n, 3, h, w).flatten(2)
    grey = luma @ colour.mean(2, keepdim=True)  # no map of colours moves a grey
    y: Tensor = bright * (contrast * (matrix @ colour) + (1 - contrast) * grey[:, None])
    return y.clamp(0, 255).view(n, 3, h, w)[:, :c]


def _turned(angle: Tensor) -> Tensor:
    """Rotations of colours about the axis of greys, ``(n, 3, 3)``, by ``angle (n,)``."""
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device) / 3**0.5
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    return cos * torch.eye(3, device=angle.device) + (1 - cos) / 3 + sin * cross


def _blurred(x: Tensor, scale: Tensor) -> Tensor:
    """Blurred by a Gaussian whose standard deviation is ``scale (n,)`` of a side; at the border by what there is."""
    down, across = (_gaussian(size, scale * size) for size in x.shape[2:])
    return down[:, None] @ x @ across[:, None].mT


def _gaussian(size: int, deviation: Tensor) -> Tensor:
    """What each of ``size`` pixels takes of each, ``(n, size, size)``."""
    at = torch.arange(size, device=deviation.device, dtype=deviation.dtype)
    apart = (at[:, None] - at) / deviation.clamp(min=0.01).view(-1, 1, 1)
    return torch.softmax(-apart.square() / 2, 2)
