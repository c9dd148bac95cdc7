"""Images that a table names by their paths."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acclimate.data.domain import Domain, ImagesAndTexts
from acclimate.data.images import FolderImages, content_digest, decode, measure
from acclimate.errors import BadInput


class ListedImages(FolderImages):
    """Images that the rows of a table name, opened when they are asked for.

    A path begins at the table's folder. One that leads out of it is refused, since a Run keeps thumbnails of what is
    read, and a table may come from anybody; links below the folder are followed.

    Args:
        table: The table's file.
        files: The path in each row; an empty text where there is none.
        rows: The number of each row.
    """

    def __init__(self, table: Path, files: Sequence[str], rows: Sequence[int]):
        super().__init__(table.parent, files)
        self.table, self.rows = table, list(rows)

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Picture ``i`` as uint8 ``(h, w, 3)``."""
        return decode(self.file(i), self._where(i), size)

    def shape(self, i: int) -> tuple[int, int]:
        """Height and width of picture ``i``."""
        return measure(self.file(i), self._where(i))

    def digest(self) -> str:
        """Changes whenever a file does."""
        return content_digest(self.file(i).read_bytes() for i in range(len(self)))

    def take_rows(self, index: NDArray[np.int64]) -> "ListedImages":
        """Some of the images."""
        return ListedImages(self.table, [self.files[i] for i in index], [self.rows[i] for i in index])

    def names(self) -> Iterator[str]:
        """The path in each row, or the row's number where there is none."""
        return (file or str(row) for file, row in zip(self.files, self.rows, strict=True))

    def file(self, i: int) -> Path:
        """Where picture ``i`` lies.

        Raises:
            BadInput: The row names none, one outside of the table's folder, or one that is not there.
        """
        if not self.files[i]:
            raise BadInput(f"{self.table}: row {self.rows[i]} names no image; fill it in or leave the row out")
        # unlike resolve it leaves links as they are
        root, path = (Path(os.path.normpath(p.absolute())) for p in (self.root, self.root / self.files[i]))
        if not path.is_relative_to(root):
            raise BadInput(
                f"{self._where(i)}: lies outside of the table's folder and is not read; move the image or the table"
            )
        if not path.is_file():
            raise BadInput(f"{self._where(i)}: no such file; paths begin at the table's folder, {self.root}")
        return path

    def _where(self, i: int) -> str:
        return f"{self.table}: row {self.rows[i]}, {self.files[i]}"


def require_files(domain: Domain) -> None:
    """Check that every row of a table of images names a file, so that a path to nowhere is told before training.

    Raises:
        BadInput: One names none.
    """
    images = domain.examples.images if isinstance(domain.examples, ImagesAndTexts) else domain.examples
    if isinstance(images, ListedImages):
        for i in range(len(images)):
            images.file(i)
