"""Test-time augmentation: a model is asked about several views of each example, and its answers are averaged.

Views are deterministic, so that the same example is given the same answer. A view has the shape, type and memory layout
of what it is a view of.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from acclimate.data.inputs import Index, Inputs
from acclimate.errors import BadInput, did_you_mean

SHIFT = 1 / 16
"""How far ``shift`` moves an image, as a share of its side."""
CROP = 7 / 8
"""The side of a crop, as a share of the image's: 224 of 256 pixels."""


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
"""Views of images by name: mirrored left to right; moved a little in four directions, the border mirrored; the four
corners and the middle, each brought back to the image's size."""


def check(names: Sequence[str], *, images: bool) -> None:
    """Refuse views that there are not, or that make no sense.

    Args:
        names: Of `VIEWS`.
        images: Whether the examples are images.

    Raises:
        BadInput: There is no such view, or the examples are no images.
    """
    for name in names:
        if name not in VIEWS:
            raise BadInput(f"--tta: no view {name!r}; {did_you_mean(name, VIEWS)}")
    if names and not images:
        raise BadInput(f"--tta {','.join(names)}: is for images, and these are not; leave it out")


def views_of(x: Tensor, names: Sequence[str]) -> Iterator[Tensor]:
    """The batch itself, and then each of the named views of it.

    Args:
        x: Images ``(n, c, h, w)`` with values from 0 to 255; without names anything.
        names: Of `VIEWS`.

    Reference:
        Crops and mirror images, of which the predictions are averaged: Krizhevsky et al., ImageNet Classification with
        Deep Convolutional Neural Networks, NeurIPS 2012.
    """
    yield x
    for name in names:
        for view in VIEWS[name](x):
            yield _as(x, view)


def _as(x: Tensor, view: Tensor) -> Tensor:
    return torch.empty_like(x).copy_(view if x.dtype.is_floating_point else view.round())


class ViewedInputs:
    """Images seen through one view, for who asks about one view of all before the next.

    Args:
        inputs: The images.
        name: One of `VIEWS`.
        which: Of its views, from 0 on.
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
        """Of all images, and of the view."""
        return f"{self.inputs.digest()} {self.name} {self.which} {SHIFT} {CROP}"


def viewed(inputs: Inputs, names: Sequence[str]) -> list[Inputs]:
    """The images themselves, and then each of the named views of them; as `views_of`, but one view at a time."""
    any_image = torch.zeros(1, 1, 32, 32)
    numbers = {name: len(list(VIEWS[name](any_image))) for name in names}
    return [inputs, *(ViewedInputs(inputs, name, which) for name in names for which in range(numbers[name]))]
