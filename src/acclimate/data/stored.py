"""What is known of an image file that was read once: hashes of its content, and what its header states."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LOSSY = frozenset({"JPEG", "HEIF"})
"""Formats in which no picture can be written again with the same pixels, unless its bytes are copied."""
START_OF_SCAN, COMMENT, ADOBE = 0xDA, 0xFE, 0xEE
"""Markers of JPEG's segments; Adobe's says how colours are stored, so it belongs to the picture."""


class StoredFile(NamedTuple):
    """An image file.

    Attributes:
        digest: Hash of the file.
        picture: Hash of the file without the metadata of a JPEG: files that agree in it have the same pixels.
        size: Shorter and longer side, since a photograph may be turned; none if the file is not an image.
        lossy: Whether its format is one of `LOSSY`.
        pixels: Hash of its pixels, if its format is not lossy.
        broken: Why it cannot be decoded; empty if it can.
    """

    digest: bytes
    picture: bytes
    size: tuple[int, int] | None
    lossy: bool
    pixels: bytes | None = None
    broken: str = ""


class Header(NamedTuple):
    """What the header of an image file states."""

    height: int
    width: int
    format: str


def describe(
    content: bytes, header: Header | None, pixels: NDArray[np.uint8] | None = None, broken: str = ""
) -> StoredFile:
    """Return what is known of a file.

    Args:
        content: The file.
        header: Its header; none if it is not an image.
        pixels: Its pixels, if they are known.
        broken: Why it cannot be decoded.
    """
    digest = hashlib.sha256(content).digest()
    if header is None:
        return StoredFile(digest, digest, None, lossy=False, broken=broken)
    height, width, kind = header
    picture = _hash(without_metadata(content)) if kind == "JPEG" else digest
    size = min(height, width), max(height, width)
    return StoredFile(digest, picture, size, kind in LOSSY, None if pixels is None else pixel_hash(pixels), broken)


def joint_digest(digests: Iterable[bytes]) -> str:
    """Return a hash of hashes and their order."""
    return _hash(digests).hex()


def without_metadata(jpeg: bytes) -> Iterator[bytes]:
    r"""Yield the segments of a JPEG that its pixels depend on; what is damaged, as it is.

    Example:
        >>> comment, table = b"\xff\xfe\x00\x04hi", b"\xff\xdb\x00\x03q"
        >>> b"".join(without_metadata(b"\xff\xd8" + comment + table + b"\xff\xda pixels"))
        b'\xff\xdb\x00\x03q\xff\xda pixels'
    """
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and (marker := jpeg[at + 1]) != START_OF_SCAN:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        is_metadata = marker == COMMENT or (0xE0 <= marker <= 0xEF and marker != ADOBE)
        if not is_metadata:
            yield jpeg[at:end]
        at = end
    yield jpeg[at:]


def pixel_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Return a hash of an image ``(h, w, c)``, the same for a grey image with one channel and with three."""
    first = pixels[..., :1]
    grey = pixels.shape[2] == 1 or bool((pixels == first).all())
    own = np.ascontiguousarray(first if grey else pixels)
    return short_hash(f"{own.shape}".encode() + own.tobytes())


def short_hash(content: bytes) -> bytes:
    """Return 16 bytes that tell contents apart."""
    return hashlib.blake2b(content, digest_size=16).digest()


def _hash(parts: Iterable[bytes]) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.digest()
