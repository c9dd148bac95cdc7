"""Images that a table lists by path."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acclimate.data.domain import Domain, ImagesAndTexts
from acclimate.data.images import FolderImages, decode, measure, stored
from acclimate.errors import BadInput


class Listing(NamedTuple):
    """The table that lists images.

    Attributes:
        name: What messages call it.
        root: The folder that relative paths start at.
        confined: Whether paths out of that folder are refused. A Run keeps thumbnails of what it reads, so they are for
            a file, which may come from anybody; they are not for a data frame, whose paths are the caller's own.
    """

    name: str
    root: Path
    confined: bool = True

    @classmethod
    def of_file(cls, path: Path) -> "Listing":
        """A table in a file: paths start at its folder."""
        return cls(str(path), path.parent)

    @classmethod
    def of_frame(cls, name: str) -> "Listing":
        """A data frame: relative paths start at the current folder."""
        return cls(name, Path.cwd(), confined=False)


class ListedImages(FolderImages):
    """Images that the rows of a table list, opened when they are read. Links are followed.

    Args:
        listing: The table.
        files: The path in each row; an empty text where there is none.
        rows: The number of each row.
    """

    def __init__(self, listing: Listing, files: Sequence[str], rows: Sequence[int]):
        super().__init__(listing.root, files)
        self.listing, self.rows = listing, list(rows)

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Return image ``i`` as uint8 ``(h, w, 3)``."""
        return decode(self.file(i), self.where(i), size)

    def shape(self, i: int) -> tuple[int, int]:
        """Return the height and width of image ``i``."""
        return measure(self.file(i), self.where(i))

    def content(self, i: int) -> bytes:
        """Return the file of image ``i``."""
        return stored(self.file(i), self.where(i))

    def place(self, i: int) -> Path:
        """Return the path of image ``i``, as `file` does."""
        return self.file(i)

    def take_rows(self, index: NDArray[np.int64]) -> "ListedImages":
        """Return the images at ``index``, in that order."""
        taken = ListedImages(self.listing, [self.files[i] for i in index], [self.rows[i] for i in index])
        return taken.keep_stored(self, index)

    def names(self) -> Iterator[str]:
        """Iterate over the path in each row, or the row's number where there is none."""
        return (file or str(row) for file, row in zip(self.files, self.rows, strict=True))

    def file(self, i: int) -> Path:
        """Return the path of image ``i``.

        Raises:
            BadInput: The row has no path, or one that is missing or not allowed.
        """
        if not self.files[i]:
            raise BadInput(f"{self.listing.name}: row {self.rows[i]} has no image; fill it in or remove the row")
        # unlike resolve it does not follow links
        root, path = (Path(os.path.normpath(p.absolute())) for p in (self.root, self.root / self.files[i]))
        if self.listing.confined and not path.is_relative_to(root):
            raise BadInput(
                f"{self.where(i)}: outside the table's folder, so it is not read; move the image or the table"
            )
        if not _is_file(path):
            raise BadInput(f"{self.where(i)}: no such file; relative paths start at {self.root}")
        return path

    def where(self, i: int) -> str:
        """Return the table, the row and the path of image ``i``."""
        return f"{self.listing.name}: row {self.rows[i]}, {self.files[i]}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no file can have such a name
        return False


def require_files(domain: Domain) -> None:
    """Check before training that every row of a table of images names a file; other domains pass.

    Raises:
        BadInput: A row does not.
    """
    images = domain.examples.images if isinstance(domain.examples, ImagesAndTexts) else domain.examples
    if isinstance(images, ListedImages):
        for i in range(len(images)):
            images.file(i)
