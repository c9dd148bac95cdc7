"""Folders and zips of images, read one at a time."""

import hashlib
import importlib
import io
import os
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from acclimate.data import folders
from acclimate.data.domain import Domain, Images
from acclimate.data.stored import LOSSY, Header, StoredFile, describe, joint_digest
from acclimate.data.unpacking import like_a_bomb, read_member
from acclimate.errors import BadInput, did_you_mean, first_line

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM")
"""Pillow's readers that may open a file, whatever its name: those of raster formats. EPS would start Ghostscript."""
DECODING = 2**29
"""Bytes of images that all threads together decode at once; one larger image is decoded alone."""
BYTES_PER_PIXEL = 12
"""Bytes that a pixel may take while it is decoded and converted, by several copies of the image."""
LARGEST_MEMBER = 512 * 2**20
"""Most bytes that one member of a zip may unpack to."""
LARGEST_RATIO = 500
"""Highest compression ratio of a zip's member; no image compresses better, so more is a bomb."""
READERS = min(8, os.cpu_count() or 1)
"""Files that are read at once."""
CHECKED = 256
"""Pixels a side to which a JPEG may be decoded smaller when it is checked; its whole file is read all the same."""
Stamp: TypeAlias = tuple[int, int]
"""When a file was changed last, and its size."""
DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
)
"""All exceptions that `zipfile` raises on damaged archives, as observed."""

# Threads read the images, and with `warnings.catch_warnings` one thread would undo the filters of another, so the
# filters are set once. Pillow's warnings do not help somebody who trains on thousands of files.
warnings.filterwarnings("ignore", module=r"PIL\.")
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def from_folder(folder: Path, part: str | None, *, name: str) -> Domain:
    """Read the images below ``folder`` (or its sub-folder ``part``); each sub-folder, or link to one, is a class.

    Raises:
        BadInput: There is no such part, a folder cannot be read, there are no images, or some are in class folders and
            some are not.
    """
    if part and ".." in PurePosixPath(part.replace("\\", "/")).parts:
        raise BadInput(f"{name}: the part leads out of the folder; give the other folder itself")
    root = folder / part.strip("/") if part else folder
    if not root.is_dir():
        parts = [f"{p.name}/" for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
        raise BadInput(f"{folder}: has no sub-folder {part!r}; {did_you_mean(str(part), parts)}")
    return _domain(name, folders.files_below(root), lambda chosen: FolderImages(root, chosen))


def from_zip(path: Path, part: str | None, *, name: str) -> Domain:
    """Read the images in a zip (or its folder ``part``) without unpacking it to disk.

    Raises:
        BadInput: The zip is damaged, encrypted or dangerous, or `from_folder` would refuse what it contains.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
    except DAMAGED_ZIP as error:
        raise BadInput(f"{path}: not a readable zip file ({first_line(error)}); create it again") from error
    for member in members:
        _refuse_dangerous(path, member)
    files = sorted(m.filename for m in members if not m.filename.startswith("__MACOSX/"))
    prefix = _wrapping_folder(files)
    if part:
        tried = [f"{wrap}{part.strip('/')}/" for wrap in ("", prefix)]
        prefix = next((p for p in tried if any(f.startswith(p) for f in files)), "")
        if not prefix:
            tops = {f"{f.removeprefix(_wrapping_folder(files)).split('/', 1)[0]}/" for f in files if "/" in f}
            raise BadInput(f"{path}: has no folder {part!r}; {did_you_mean(part, tops)}")
    inner = [f.removeprefix(prefix) for f in files if f.startswith(prefix)]
    return _domain(name, inner, lambda chosen: ZipImages(path, prefix, chosen))


def _wrapping_folder(files: Sequence[str]) -> str:
    """Return the single folder that wraps all images, if it contains folders itself; else an empty string."""
    images = [PurePosixPath(f).parts for f in files if folders.is_image(f)]
    wrapped = len({parts[0] for parts in images}) == 1 and any(len(parts) > 2 for parts in images)
    return f"{images[0][0]}/" if wrapped else ""


def _refuse_dangerous(path: Path, member: zipfile.ZipInfo) -> None:
    inside = PurePosixPath(member.filename.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts:
        raise BadInput(f"{path}: member {member.filename!r} points outside the zip; create the zip again without it")
    if member.flag_bits & 1:
        raise BadInput(f"{path}: member {member.filename!r} is encrypted; create the zip again without a password")
    ratio = member.file_size / max(member.compress_size, 1)
    if member.file_size > LARGEST_MEMBER or (member.file_size > 2**20 and ratio > LARGEST_RATIO):
        raise BadInput(
            f"{path}: member {member.filename!r} unpacks to {member.file_size:,} bytes, like a decompression bomb; "
            "remove it"
        )


def _domain(name: str, files: Iterable[str], open_images: Callable[[list[str]], Images]) -> Domain:
    chosen = folders.images_of(files, name=name)
    in_folders = ["/" in f for f in chosen]
    if any(in_folders) and not all(in_folders):
        loose = chosen[in_folders.index(False)]
        raise BadInput(
            f"{name}: has class folders and also images outside them ({loose}); move those into a class folder"
        )
    labels = np.array([f.split("/", 1)[0] for f in chosen]) if all(in_folders) else None
    return Domain(name, "images", open_images(chosen), chosen, labels)


class FileImages:
    """Images in files; each is read and decoded once for all that is asked about its content, unless it changes."""

    _stored: Mapping[int, tuple[Stamp, StoredFile]] = MappingProxyType({})

    def __len__(self) -> int:
        raise NotImplementedError

    def content(self, i: int) -> bytes:
        """Return the file of image ``i``.

        Raises:
            BadInput: It cannot be read.
        """
        raise NotImplementedError

    def place(self, i: int) -> Path:
        """Return the path of the file that image ``i`` is in."""
        raise NotImplementedError

    def where(self, i: int) -> str:
        """Return what messages call image ``i``."""
        raise NotImplementedError

    def digest(self) -> str:
        """Return a hash of the files' contents."""
        return joint_digest(file.digest for file in self.stored())

    def stored(self) -> Sequence[StoredFile]:
        """Return what is known of each file.

        Raises:
            BadInput: A file cannot be read.
        """
        places = [self.place(i) for i in range(len(self))]
        stamps = {place: _stamp(place) for place in set(places)}  # all images of a zip are in one file
        known = {i: found for i, found in self._stored.items() if found[0] == stamps[places[i]]}
        with ThreadPoolExecutor(READERS) as threads:
            new = [i for i in range(len(places)) if i not in known]
            known |= zip(new, threads.map(self._describe, new), strict=True)
        self._stored = dict(sorted(known.items()))
        return [file for _, file in self._stored.values()]

    def keep_stored(self, before: "FileImages", index: NDArray[np.int64]) -> Self:
        """Take over what is known of the rows ``index`` of other images."""
        if before._stored:
            self._stored = {row: before._stored[i] for row, i in enumerate(index.tolist())}
        return self

    def _describe(self, i: int) -> tuple[Stamp, StoredFile]:
        stamp, content, header, pixels = _stamp(self.place(i)), self.content(i), None, None
        try:
            with Image.open(io.BytesIO(content), formats=formats()) as image:
                header = Header(image.height, image.width, image.format or "")
                if header.format in LOSSY:
                    image.draft("RGB", (CHECKED, CHECKED))
                    image.load()
                else:
                    pixels = to_pixels(image)
        except Exception as error:  # as in `decode`
            return stamp, describe(content, header, broken=unreadable(self.where(i), error))
        return stamp, describe(content, header, pixels)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:  # reading tells why
        return 0, 0
    return found.st_mtime_ns, found.st_size


class FolderImages(FileImages):
    """Images below a folder, opened when they are read."""

    def __init__(self, root: Path, files: Sequence[str]):
        self.root, self.files = root, list(files)

    def __len__(self) -> int:
        return len(self.files)

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Return image ``i`` as uint8 ``(h, w, 3)``."""
        path = self.root / self.files[i]
        return decode(path, str(path), size)

    def shape(self, i: int) -> tuple[int, int]:
        """Return the height and width of image ``i``."""
        path = self.root / self.files[i]
        return measure(path, str(path))

    def content(self, i: int) -> bytes:
        """Return the file of image ``i``."""
        path = self.place(i)
        return stored(path, str(path))

    def place(self, i: int) -> Path:
        """Return the path of image ``i``."""
        return self.root / self.files[i]

    def where(self, i: int) -> str:
        """Return the path of image ``i``."""
        return str(self.place(i))

    def take_rows(self, index: NDArray[np.int64]) -> "FolderImages":
        """Return the images at ``index``, in that order."""
        return FolderImages(self.root, [self.files[i] for i in index]).keep_stored(self, index)


class ZipImages(FileImages):
    """Images in a zip, opened when they are read, with a file handle for each thread and process."""

    def __init__(self, path: Path, prefix: str, files: Sequence[str]):
        self.path, self.prefix, self.files = path, prefix, list(files)
        self._local = threading.local()

    def __getstate__(self) -> tuple[Path, str, list[str]]:
        return self.path, self.prefix, self.files

    def __setstate__(self, state: tuple[Path, str, list[str]]) -> None:
        self.path, self.prefix, self.files = state
        self._local = threading.local()

    def __len__(self) -> int:
        return len(self.files)

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Return image ``i`` as uint8 ``(h, w, 3)``."""
        return decode(self._open(i), self.where(i), size)

    def shape(self, i: int) -> tuple[int, int]:
        """Return the height and width of image ``i``."""
        return measure(self._open(i), self.where(i))

    def content(self, i: int) -> bytes:
        """Return the file of image ``i``."""
        return self._open(i).getvalue()

    def place(self, i: int) -> Path:
        """Return the path of the zip."""
        return self.path

    def where(self, i: int) -> str:
        """Return the path of the zip and of image ``i`` in it."""
        return f"{self.path}: {self.prefix}{self.files[i]}"

    def take_rows(self, index: NDArray[np.int64]) -> "ZipImages":
        """Return the images at ``index``, in that order."""
        return ZipImages(self.path, self.prefix, [self.files[i] for i in index]).keep_stored(self, index)

    def checksums(self) -> list[tuple[int, int]]:
        """Return the checksum and the size of each image's file, as the zip's directory states them."""
        with zipfile.ZipFile(self.path) as archive:
            members = [archive.getinfo(self.prefix + file) for file in self.files]
        return [(member.CRC, member.file_size) for member in members]

    def _open(self, i: int) -> io.BytesIO:
        try:
            archive = getattr(self._local, "archive", None)
            if archive is None:
                archive = self._local.archive = zipfile.ZipFile(self.path)
            content = _unpacked(archive, archive.getinfo(self.prefix + self.files[i]), self.path)
            return io.BytesIO(content)
        except BadInput:
            raise
        except DAMAGED_ZIP as error:
            raise BadInput(
                f"{self.path}: member {self.files[i]!r} cannot be unpacked ({first_line(error)}); create the zip again"
            ) from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """Unpack a member, whatever size the zip's directory states."""
    most = min(LARGEST_MEMBER, max(2**20, LARGEST_RATIO * member.compress_size))
    content = read_member(archive, member, most)
    if content is None:
        raise like_a_bomb(f"{path}: member {member.filename!r}", most, fix="remove it")
    return content


class ArrayImages:
    """Images in one uint8 array ``(n, h, w)`` or ``(n, h, w, 3)``."""

    def __init__(self, array: NDArray[np.uint8]):
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def read(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """Return image ``i`` as uint8 ``(h, w, 3)`` or ``(h, w, 1)``."""
        image: NDArray[np.uint8] = self.array[i]
        return image[:, :, None] if image.ndim == 2 else image

    def shape(self, i: int) -> tuple[int, int]:
        """Return the height and width, the same for all images."""
        return int(self.array.shape[1]), int(self.array.shape[2])

    def digest(self) -> str:
        """Return a hash of all pixels."""
        return content_digest([str(self.array.shape).encode(), np.ascontiguousarray(self.array).data])

    def take_rows(self, index: NDArray[np.int64]) -> "ArrayImages":
        """Return the images at ``index``, in that order."""
        return ArrayImages(self.array[index])


def stored(path: Path, where: str) -> bytes:
    """Return a file's content.

    Args:
        path: The file.
        where: What messages call it.

    Raises:
        BadInput: It cannot be read.
    """
    _check_regular(path, where)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(unreadable(where, error)) from error


def _check_regular(file: Path | io.BytesIO, where: str) -> None:
    """Refuse a pipe or a device, whose reading may never end."""
    if isinstance(file, Path) and not file.is_file() and file.exists():
        raise BadInput(f"{where}: not a readable image (not a regular file); remove it")


def content_digest(files: Iterable[bytes | memoryview]) -> str:
    """Return a hash of the contents and their order."""
    return joint_digest(hashlib.sha256(content).digest() for content in files)


class _Room:
    """Memory that several threads share: one waits while the others take too much.

    Args:
        most: Bytes; what needs more waits until nobody takes any.
    """

    def __init__(self, most: int):
        self.most, self.taken = most, 0
        self.changed = threading.Condition()

    @contextmanager
    def room_for(self, wanted: int) -> Iterator[None]:
        with self.changed:
            self.changed.wait_for(lambda: not self.taken or self.taken + wanted <= self.most)
            self.taken += wanted
        try:
            yield
        finally:
            with self.changed:
                self.taken -= wanted
                self.changed.notify_all()


_decoding = _Room(DECODING)


def decode(file: Path | io.BytesIO, where: str, size: int | None = None) -> NDArray[np.uint8]:
    """Decode an image file to uint8 ``(h, w, 3)``, as `to_pixels` does.

    Args:
        file: The file.
        where: What messages call it.
        size: If given, a JPEG may be decoded smaller, but not below this many pixels a side.

    Raises:
        BadInput: The file is empty, truncated, too large, or not an image.
    """
    _check_regular(file, where)
    try:
        with Image.open(file, formats=formats()) as image:
            if size:
                image.draft("RGB", (size, size))
            with _decoding.room_for(image.width * image.height * BYTES_PER_PIXEL):
                return to_pixels(image)
    except Exception as error:  # each format's reader raises its own exceptions on a damaged file
        raise BadInput(unreadable(where, error)) from error


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image as uint8 ``(h, w, 3)``: EXIF rotation applied, 16 bits scaled to 8, white behind transparency."""
    return np.asarray(_as_rgb(ImageOps.exif_transpose(image)))


def measure(file: Path | io.BytesIO, where: str) -> tuple[int, int]:
    """Return height and width from the header alone, before any EXIF rotation.

    Raises:
        BadInput: The file is not an image.
    """
    _check_regular(file, where)
    try:
        with Image.open(file, formats=formats()) as image:
            return image.height, image.width
    except Exception as error:  # as above
        raise BadInput(unreadable(where, error)) from error


@cache
def formats() -> tuple[str, ...]:
    """Return Pillow's readers that may open a file; `FORMATS`, and HEIF where it is installed."""
    if not folders.reads_heic():
        return FORMATS
    importlib.import_module("pillow_heif").register_heif_opener()
    return (*FORMATS, "HEIF")


def unreadable(where: str, error: Exception) -> str:
    """Return the message for an image whose decoding raised ``error``."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"{where}: too many pixels for an image; remove it or scale it down"
    if PurePosixPath(where).suffix.lower() in folders.HEIC and not folders.reads_heic():
        return f"{where}: not a readable image ({folders.HEIC_HELP}); save it as JPEG, or install that"
    why = "unknown format or damaged" if isinstance(error, UnidentifiedImageError) else first_line(error)
    return f"{where}: not a readable image ({why}); remove it or save it again"


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        scale = 1 / 257 if image.mode != "F" else 255 if values.max(initial=0) <= 1 else 1
        scaled = values * scale
        return Image.fromarray(scaled.clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
