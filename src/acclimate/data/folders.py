"""Which files below a folder, or in a zip, are images, and which are skipped."""

import importlib.util
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from acclimate.errors import BadInput

log = logging.getLogger("acclimate")

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
"""Endings of the names of images."""
HEIC = frozenset({".heic", ".heif", ".hif"})
"""Endings of the names of images that are read if the package pillow-heif is installed."""
CLUTTER = frozenset({"thumbs.db", "desktop.ini"})
"""Files that systems leave in folders of images."""
SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
"""Names of folders, in lower case, that parts of a data set usually have."""
HEIC_HELP = "HEIC needs the package pillow-heif; run `pip install acclimate[heic]`"
"""How HEIC images could be read, where they are not."""
_Folder: TypeAlias = tuple[str, frozenset[tuple[int, int]]]
"""A folder's path below the root, ending in ``/``, and what identifies the folder and all above it."""


def files_below(root: Path) -> list[str]:
    """Return the paths of all files below ``root``, sorted, and of its empty sub-folders, which end in ``/``.

    Links are followed. Hidden files and folders are left out.

    Raises:
        BadInput: A folder cannot be read, or a link leads back to a folder above it.
    """
    found: list[str] = []
    left: list[_Folder] = [("", frozenset())]
    while left:
        files, folders = _listed(root, *left.pop())
        found += files
        left += folders
    return sorted(found)


def _listed(root: Path, inner: str, above: frozenset[tuple[int, int]]) -> tuple[list[str], list[_Folder]]:
    """Return the files and the sub-folders of the folder ``inner``."""
    place = root / inner
    try:
        stat = place.stat()
        if (own := (stat.st_dev, stat.st_ino)) in above:
            raise BadInput(f"{place}: is a link to a folder that contains it; remove the link")
        with os.scandir(place) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
        folders = [entry.name for entry in visible if entry.is_dir()]
        files = [entry.name for entry in visible if entry.is_file() or (entry.is_symlink() and not entry.is_dir())]
    except OSError as error:
        raise BadInput(
            f"{place}: cannot be read ({error.strerror or error}); change its permissions, or remove it"
        ) from error
    empty = [inner] if inner and not visible else []
    return [*empty, *(inner + name for name in files)], [(f"{inner}{name}/", above | {own}) for name in folders]


def is_image(file: str) -> bool:
    """Whether a file of this name, below a folder or in a zip, is read as an image."""
    path = PurePosixPath(file)
    return path.suffix.lower() in _endings_read() and not any(p.startswith(".") for p in path.parts)


def reads_heic() -> bool:
    """Whether HEIC images are read."""
    return importlib.util.find_spec("pillow_heif") is not None


@cache
def _endings_read() -> frozenset[str]:
    return ENDINGS | HEIC if reads_heic() else ENDINGS


def images_of(files: Iterable[str], *, name: str) -> list[str]:
    """Return those of ``files`` that are images, in their order; a warning counts and names the others.

    Args:
        files: Paths of files, and of empty folders, which end in ``/``.
        name: What messages call the domain.

    Raises:
        BadInput: None is an image, a name is not UTF-8, or the folders at the top look like ``train`` and ``test``.
    """
    files = [file for file in files if not _is_clutter(file)]
    chosen = [file for file in files if is_image(file)]
    others = sorted({file for file in files if not file.endswith("/")} - set(chosen))
    if not chosen:
        instead = f" but {_endings(others)}" if others else ""
        known = ", ".join(sorted(_endings_read()))
        raise BadInput(f"{name}: contains no images{instead}{_help(others)}; names of images end in {known}")
    if strange := next((file for file in chosen if any("\ud800" <= c <= "\udfff" for c in file)), None):
        raise BadInput(f"{name}: the name {strange} is not UTF-8, so it cannot be written down; rename the file")
    _ask_about_splits(_tops(chosen), name)
    notes = [*_skipped(others, len(chosen)), *_without_images(files, chosen)]
    if notes:
        log.warning("%s: %s", name, "; ".join(notes))
    return chosen


def _ask_about_splits(tops: set[str], name: str) -> None:
    """Refuse to take parts of a data set for classes; a single one beside other classes may be one, as a train is."""
    splits = sorted((top for top in tops if top.lower() in SPLITS), key=lambda top: (top[:2].lower() != "tr", top))
    if len(splits) > 1 or (splits and len(tops) == 1):
        place = name if "#" not in name else name.rstrip("/")
        example = f"{place}{'/' if '#' in place else '#'}{splits[0]}/"
        listed = " and ".join(f"{split}/" for split in splits)
        raise BadInput(
            f"{name}: contains {listed}, which look like parts of a data set, not like classes; give one of them, e.g. "
            f"{example}"
        )


def _is_clutter(file: str) -> bool:
    path = PurePosixPath(file)
    return path.name.lower() in CLUTTER or any(part.startswith(".") for part in path.parts)


def _skipped(others: Sequence[str], n_images: int) -> Iterator[str]:
    if others:
        yield (
            f"skipped {len(others)} of {len(others) + n_images} files, whose formats are not read: {_endings(others)}, "
            f"e.g. {others[0]}{_help(others)}"
        )


def _help(others: Iterable[str]) -> str:
    """Return how HEIC images could be read, if there are any among the files that are not."""
    return f" ({HEIC_HELP})" if any(PurePosixPath(file).suffix.lower() in HEIC for file in others) else ""


def _without_images(files: Sequence[str], chosen: Sequence[str]) -> Iterator[str]:
    """Tell which folders at the top would be classes and have no image."""
    tops = _tops(chosen)
    if empty := sorted(_tops(files) - tops if tops else ()):
        shown = ", ".join(f"{top}/" for top in empty[:5])
        yield f"no images in {shown}{f' and {len(empty) - 5} more' if len(empty) > 5 else ''}"


def _tops(files: Iterable[str]) -> set[str]:
    return {file.split("/", 1)[0] for file in files if "/" in file}


def _endings(files: Sequence[str]) -> str:
    """Return how many files have each ending, the most common first."""
    counts = Counter(PurePosixPath(file).suffix.lower() or "no ending" for file in files)
    most = ", ".join(f"{n} {ending}" for ending, n in counts.most_common(5))
    return f"{most} and more" if len(counts) > 5 else most
