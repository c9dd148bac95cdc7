"""One example, or paths of images, where a Run wants examples: what a notebook hands over."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from PIL.Image import Image

from acclimate.data.domain import Domain, Kind
from acclimate.data.folders import ENDINGS, HEIC
from acclimate.data.images import FolderImages
from acclimate.data.optional import is_image, is_tensor
from acclimate.data.source import Source

Given: TypeAlias = Source | Image | list[Path]
"""What a Run predicts for: examples, one image, or paths of images."""
CHANNELS = (1, 3)
"""Numbers of channels of an image."""


def as_examples(given: object, kind: Kind) -> Source:
    """Return what is given as examples that `acclimate.data.source.as_domain` reads; one example becomes one row.

    Args:
        given: Examples; or one image (PIL, its path, an array ``(h, w)`` or ``(h, w, 3)``), a list of paths of images,
            or one vector ``(d,)``.
        kind: What the Run was trained on.
    """
    if kind == "images":
        return _images(given)
    if kind == "vectors" and isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "buif":
        return given[None]
    return cast("Source", given)  # whatever else it is, as_domain tells


def _images(given: object) -> Source:
    if is_image(given):
        return [given]
    paths = [given] if isinstance(given, str | Path) else given
    if isinstance(paths, list) and paths and all(map(_is_image_file, paths)):
        return _of_files([str(path) for path in paths])
    if isinstance(given, np.ndarray) and _is_one_image(given.shape):
        return np.array(given)[None]  # a copy, as torch warns of an array of Pillow's, which is read-only
    if is_tensor(given) and _is_one_image((*given.shape[1:], *given.shape[:1]) if given.ndim == 3 else given.shape):
        return given[None]
    return cast("Source", given)


def _of_files(paths: Sequence[str]) -> Domain:
    return Domain("examples", "images", FolderImages(Path(), [str(Path(p).expanduser()) for p in paths]), list(paths))


def _is_image_file(path: object) -> bool:
    if not isinstance(path, str | Path):
        return False
    return Path(path).suffix.lower() in ENDINGS | HEIC and Path(path).expanduser().is_file()


def _is_one_image(shape: Sequence[int]) -> bool:
    """Whether a shape is ``(h, w)`` or ``(h, w, channels)``."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in CHANNELS)
