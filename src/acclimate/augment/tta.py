"""Test-time augmentation: the mean of a model's predictions over several views of each example.

Views are deterministic, so an example always gets the same prediction. A view keeps the shape, type and memory layout
of its example.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from acclimate.data.inputs import Index, Inputs
from acclimate.errors import BadInput, did_you_mean

SHIFT = 1 / 16
"""How far ``shift`` moves an image, as a fraction of its side."""
CROP = 7 / 8
"""The side of a crop as a fraction of the image's: 224 of 256 pixels."""


def _flipped(x: Tensor) -> Iterator[Tensor]:
    yield x.flip(3)


def _shifted(x: Tensor) -> Iterator[Tensor]:
    h, w = (max(1, round(SHIFT * side)) for side in x.shape[2:])
    wide = pad(x.float(), (w, w, h, h), mode="reflect")
    for top, left in ((0, w), (2 * h, w), (h, 0), (h, 2 * w)):
        yield wide[:, :, top : top + x.shape[2], left : left + x.shape[3]]


def _cropped(x: Tensor) -> Iterator[Tensor]:
    size, sides = list(x.shape[2:]), [max(1, round(CROP * side)) for side in x.shape[2:]]
    rest = [side - kept for side, kept in zip(size, sides, strict=True)]
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)):
        top, left = round(down * rest[0]), round(right * rest[1])
        crop = x[:, :, top : top + sides[0], left : left + sides[1]].float()
        yield interpolate(crop, size=size, mode="bilinear", align_corners=False)


VIEWS: dict[str, Callable[[Tensor], Iterator[Tensor]]] = {
    "hflip": _flipped,
    "shift": _shifted,
    "five_crop": _cropped,
}
"""Views of images by name: mirrored left to right; moved a little in four directions, with a mirrored border; the four
corners and the centre, each resized to the image's size."""


def check(names: Sequence[str], *, images: bool) -> None:
    """Refuse unknown views, and any views of examples that are not images.

    Args:
        names: Names of `VIEWS`.
        images: Whether the examples are images.

    Raises:
        BadInput: A view is unknown, or the examples are not images.
    """
    for name in names:
        if name not in VIEWS:
            raise BadInput(f"--tta: no view {name!r}; {did_you_mean(name, VIEWS)}")
    if names and not images:
        raise BadInput(f"--tta {','.join(names)}: applies to images only; remove it")


def views_of(x: Tensor, names: Sequence[str]) -> Iterator[Tensor]:
    """Yield the batch itself, then each of its named views.

    Args:
        x: Images ``(n, c, h, w)`` with values from 0 to 255; any tensor if ``names`` is empty.
        names: Names of `VIEWS`.

    Reference:
        The mean prediction over crops and mirror images: Krizhevsky et al., ImageNet Classification with
        Deep Convolutional Neural Networks, NeurIPS 2012.
    """
    yield x
    for name in names:
        for view in VIEWS[name](x):
            yield _as(x, view)


def _as(x: Tensor, view: Tensor) -> Tensor:
    return torch.empty_like(x).copy_(view if x.dtype.is_floating_point else view.round())


class ViewedInputs:
    """Images seen through one view, to predict for one view of all images before the next.

    Args:
        inputs: The images.
        name: A name of `VIEWS`.
        which: Index among its views.
    """

    in_memory = False

    def __init__(self, inputs: Inputs, name: str, which: int):
        self.inputs, self.name, self.which = inputs, name, which

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, index: Index) -> Tensor:
        """The view of the images at ``index``."""
        x = self.inputs.batch(index)
        return _as(x, next(islice(VIEWS[self.name](x), self.which, None)))

    def digest(self) -> str:
        """Digest of all images and of the view."""
        return f"{self.inputs.digest()} {self.name} {self.which} {SHIFT} {CROP}"


def viewed(inputs: Inputs, names: Sequence[str]) -> list[Inputs]:
    """Return the images themselves, then each of their named views: like `views_of`, but one view of all at a time."""
    image = torch.zeros(1, 1, 32, 32)
    n_views = {name: len(list(VIEWS[name](image))) for name in names}
    return [inputs, *(ViewedInputs(inputs, name, which) for name in names for which in range(n_views[name]))]
