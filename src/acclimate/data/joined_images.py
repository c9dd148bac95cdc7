"""The images of several domains as those of one, each read where it is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acclimate.data.domain import Images
from acclimate.data.images import ArrayImages, FileImages, content_digest
from acclimate.data.stored import StoredFile


class JoinedImages:
    """Images of several kinds or places.

    Args:
        parts: The images of each domain.
        part: The position in ``parts`` of each image's domain ``(n,)``.
        row: Its row there ``(n,)``.
    """

    def __init__(self, parts: Sequence[Images], part: NDArray[np.int64], row: NDArray[np.int64]):
        self.parts, self.part, self.row = tuple(parts), part, row

    def __len__(self) -> int:
        return len(self.row)

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Return image ``i`` as uint8 ``(h, w, 3)`` or ``(h, w, 1)``."""
        images: Images = self.parts[self.part[i]]
        return images.read(int(self.row[i]), size)

    def shape(self, i: int) -> tuple[int, int]:
        """Return the height and width of image ``i``."""
        images: Images = self.parts[self.part[i]]
        return images.shape(int(self.row[i]))

    def digest(self) -> str:
        """Return a hash of all images and of their order."""
        return content_digest(
            content for rows, images in self.by_part() for content in (rows.tobytes(), images.digest().encode())
        )

    def by_part(self) -> Iterator[tuple[NDArray[np.int64], Images]]:
        """Iterate over the domains: the positions of its images among all, and these images in that order."""
        for i, images in enumerate(self.parts):
            if len(rows := np.flatnonzero(self.part == i)):
                yield rows, images.take_rows(self.row[rows])

    def take_rows(self, index: NDArray[np.int64]) -> "JoinedImages":
        """Return the images at ``index``, in that order."""
        return type(self)(self.parts, self.part[index], self.row[index])


class JoinedFileImages(JoinedImages, FileImages):
    """Images in the files of several folders, zips or tables."""

    def content(self, i: int) -> bytes:
        """Return the file of image ``i``."""
        return self._files(i).content(int(self.row[i]))

    def place(self, i: int) -> Path:
        """Return the path of the file that image ``i`` is in."""
        return self._files(i).place(int(self.row[i]))

    def where(self, i: int) -> str:
        """Return what messages call image ``i``."""
        return self._files(i).where(int(self.row[i]))

    def _files(self, i: int) -> FileImages:
        files = self.parts[self.part[i]]
        assert isinstance(files, FileImages)
        return files

    def stored(self) -> Sequence[StoredFile]:
        """Return what is known of each file; what was read of a domain before is not read again."""
        known = [images.stored() if isinstance(images, FileImages) else () for images in self.parts]
        return [known[part][row] for part, row in zip(self.part.tolist(), self.row.tolist(), strict=True)]


def join(parts: Sequence[Images]) -> Images:
    """Return the images of several domains, one domain after the other."""
    arrays = [images.array for images in parts if isinstance(images, ArrayImages)]
    if len(arrays) == len(parts) and len({array.shape[1:] for array in arrays}) == 1:
        return ArrayImages(np.concatenate(arrays))
    part = np.repeat(np.arange(len(parts)), [len(images) for images in parts])
    row = np.concatenate([np.arange(len(images)) for images in parts])
    kind = JoinedFileImages if all(isinstance(images, FileImages) for images in parts) else JoinedImages
    return kind(parts, part, row)
