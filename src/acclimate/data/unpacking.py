"""Reading compressed files up to a limit, counted on what is unpacked and not on what the file claims."""

import bz2
import gzip
import io
import zipfile
import zlib
from copy import copy
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from acclimate.errors import BadInput

LARGEST_UNPACKED = 2**28
"""Bytes that any file may unpack to."""
LARGEST_RATIO = 100
"""Beyond `LARGEST_UNPACKED` a file may unpack to this many times its size."""
CHUNK = 2**20
"""Bytes that are unpacked at a time."""
NPY_HEAD = 2**14
"""Bytes at the start of an array's file that contain its header."""


def largest(size: int) -> int:
    """Return how many bytes ``size`` compressed ones may unpack to."""
    return max(LARGEST_UNPACKED, LARGEST_RATIO * size)


def like_a_bomb(where: str, most: int, *, fix: str) -> BadInput:
    """Return the error for what unpacks to more than ``most`` bytes."""
    return BadInput(f"{where}: unpacks to more than {most:,} bytes, like a decompression bomb; {fix}")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes | None:
    """Return the content of a member of a zip; None if it is more than ``most`` bytes, which are not unpacked.

    Raises:
        NotImplementedError: It is compressed by LZMA, whose unpacking cannot be limited.
        BadZipFile: It is damaged.
    """
    if member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with archive.open(member) as file:
            return _read(file, most)
    if member.compress_type != zipfile.ZIP_BZIP2:
        raise NotImplementedError("compressed by a method other than deflate and bzip2")
    content = _read_bz2(archive, member, most)
    if content is not None and zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
    return content


def _read(file: IO[bytes] | gzip.GzipFile, most: int) -> bytes | None:
    """Return what is left of ``file``; None if that is more than ``most`` bytes."""
    content = bytearray()
    while chunk := file.read(min(CHUNK, most + 1 - len(content))):
        content += chunk
        if len(content) > most:
            return None
    return bytes(content)


def _read_bz2(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes | None:
    """Unpack a member by bz2 itself, since `zipfile` unpacks all that it has read at once."""
    as_stored = copy(member)
    as_stored.compress_type, as_stored.file_size = zipfile.ZIP_STORED, member.compress_size
    del as_stored.CRC
    with archive.open(as_stored) as file:
        content = bz2.BZ2Decompressor().decompress(file.read(), max_length=most + 1)
    return None if len(content) > most else content


def gunzip(path: Path) -> bytes:
    """Return what a gzip file contains.

    Raises:
        BadInput: It is too large for its size.
        OSError: It is damaged, as are `EOFError` and `zlib.error`.
    """
    most = largest(path.stat().st_size)
    with gzip.open(path) as file:
        content = _read(file, most)
    if content is None:
        raise like_a_bomb(str(path), most, fix="unpack it yourself if you trust it")
    return content


def check_arrays(archive: zipfile.ZipFile, where: str, size: int) -> None:
    """Check the sizes that the headers of a zip's arrays state, before memory for them is allocated.

    Args:
        archive: The zip.
        where: What messages call it.
        size: Its size, since what its directory states may be wrong.

    Raises:
        BadInput: One states more bytes than it may.
        ValueError: A header is damaged.
    """
    for member in archive.infolist():
        if member.filename.endswith(".npy"):
            most = largest(min(size, member.compress_size))
            if _stated_bytes(archive, member) > most:
                raise like_a_bomb(f"{where}: array {member.filename[:-4]!r}", most, fix="save it without compression")


def _stated_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("compressed by a method other than deflate")
    with archive.open(member) as file:
        head = io.BytesIO(file.read(NPY_HEAD))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    return prod(shape) * dtype.itemsize


def check_members(archive: zipfile.ZipFile, where: str, size: int, *, fix: str) -> None:
    """Count what all members of a zip unpack to; see `check_arrays` for the other arguments, ``fix`` ends messages.

    Raises:
        BadInput: It is too much for the zip's size, or an array states too much.
        BadZipFile: A member is damaged.
    """
    check_arrays(archive, where, size)
    left = most = largest(size)
    for member in archive.infolist():
        content = read_member(archive, member, left)
        if content is None:
            raise like_a_bomb(where, most, fix=fix)
        left -= len(content)
