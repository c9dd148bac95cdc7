"""The folder of the demo: its images, a list of them that a later demo recognises them by, and its Run."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from acclimate.data.folders import is_image
from acclimate.data.fonts import font_digits, handwritten_digits
from acclimate.errors import BadInput
from acclimate.run_folder import sort_run

MARKER = ".acclimate-demo"
"""The file that marks a demo's folder: it lists the images that demos wrote, one per line."""
_PARTIAL = re.compile(rf"\.{re.escape(MARKER)}\.\d+\.partial")
_IMAGE = re.compile(r"(source|target)/[0-9]/[^/]+\.png")


def write_demo(folder: Path) -> tuple[Path, Path, Path]:
    """Write both domains as image folders, in place of an earlier demo's images and Run.

    Returns:
        The paths of the source, the target, and the Run.

    Raises:
        BadInput: The folder is not a demo's, contains other files where the demo writes its own, or cannot be written.
    """
    before = _written_before(folder)
    if strange := [*_strange_images(folder, before), *sort_run(folder / "run")[1]]:
        raise BadInput(f"{strange[0]}: not written by the demo; move it, or choose another --folder")
    images = {
        f"{part}/{digit}/{stem}.png": image
        for part, digits in (("source", font_digits()), ("target", handwritten_digits()))
        for stem, digit, image in digits
    }
    try:
        _mark(folder, before | images.keys())  # whatever exists if the process is killed
        _remove(folder, before)
        _save(folder, images)
        _mark(folder, images)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error}); correct this, or choose another --folder") from error
    return folder / "source", folder / "target", folder / "run"


def _written_before(folder: Path) -> set[str]:
    """Return the images in the folder's list.

    Raises:
        BadInput: The folder is not a demo's.
    """
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise BadInput(f"{folder}: is a file; choose another --folder")
    found = sorted(path.name for path in folder.iterdir() if not _PARTIAL.fullmatch(path.name))
    if found and MARKER not in found:
        raise BadInput(f"{folder}: not a demo folder (contains {found[0]!r}); remove it, or choose another --folder")
    listed = (folder / MARKER).read_text("utf-8").splitlines() if found else []
    return {name for name in listed if _IMAGE.fullmatch(name)}


def _strange_images(folder: Path, known: set[str]) -> list[Path]:
    """Return images that the demo did not write, and links, which lead elsewhere."""
    found = [path for part in ("source", "target") for path in [folder / part, *sorted((folder / part).rglob("*"))]]
    names = {path: path.relative_to(folder).as_posix() for path in found}
    return [p for p, name in names.items() if (p.is_symlink() or is_image(name)) and name not in known]


def _mark(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{MARKER}.{os.getpid()}.partial"
    partial.write_text("".join(f"{name}\n" for name in sorted(names)), "utf-8")
    partial.replace(folder / MARKER)


def _remove(folder: Path, images: set[str]) -> None:
    """Remove images, the Run, and incomplete lists of demos that were killed."""
    incomplete = [path for path in folder.iterdir() if _PARTIAL.fullmatch(path.name)]
    for path in *incomplete, *(folder / name for name in images):
        path.unlink(missing_ok=True)
    run = folder / "run"
    for path in [*sort_run(run)[0], run] if run.exists() else []:
        path.rmdir() if path.is_dir() else path.unlink()


def _save(folder: Path, images: Mapping[str, Image.Image]) -> None:
    for name, image in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
