"""How many bytes the pages of a Parquet file unpack to, from the headers that a reader allocates memory by.

The sum that the file's metadata states need not be true. Files follow https://parquet.apache.org/docs/file-format/, and
their headers Thrift's compact protocol.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

Value: TypeAlias = "int | bytes | list[Value] | dict[int, Value]"
"""A value of Thrift; of a structure, its fields by number."""

MAGIC = b"PAR1"
HEADER = 2**16
"""Bytes in which the header of a page is looked for at first."""
LONGEST_HEADER = 2**24
"""Bytes that such a header may have."""
PER_PAGE = 64
"""Bytes that a page counts beside its content, so that files of empty pages end too."""


def unpacked_size(path: Path, most: int) -> int:
    """Return how many bytes the pages of the file unpack to, or a number above ``most``.

    Raises:
        ValueError: The file is damaged.
    """
    total = 0
    with path.open("rb") as file:
        for start, end in _chunks(_Reader(_footer(file)).struct()):
            while start < end:
                header, length = _page_header(file, start)
                total += max(_number(header, 2), 0) + PER_PAGE
                start += length + max(_number(header, 3), 0)
                if total > most:
                    return total
    return total


def _footer(file: BinaryIO) -> bytes:
    """Return the metadata at the end of the file."""
    size = file.seek(0, 2)
    file.seek(max(size - 8, 0))
    end = file.read()
    length = int.from_bytes(end[:4], "little")
    if end[4:] != MAGIC or length > size - 8:
        raise ValueError("no Parquet footer")
    file.seek(size - 8 - length)
    return file.read(length)


def _chunks(metadata: dict[int, Value]) -> Iterator[tuple[int, int]]:
    """Iterate over where the pages of each column of each group of rows start and end."""
    for group in _structs(metadata, 4):
        for column in _structs(group, 1):
            about = column.get(3)
            if not isinstance(about, dict):
                raise ValueError("a column without metadata")
            first = _number(about, 9)
            dictionary = about.get(11)
            start = min(first, dictionary) if isinstance(dictionary, int) and dictionary > 0 else first
            yield start, start + _number(about, 7)


def _page_header(file: BinaryIO, start: int) -> tuple[dict[int, Value], int]:
    """Return the header of a page, and its length."""
    room = HEADER
    while True:
        file.seek(start)
        reader = _Reader(file.read(room))
        try:
            return reader.struct(), reader.at
        except IndexError as error:
            if len(reader.data) < room or room >= LONGEST_HEADER:
                raise ValueError("a page without a header") from error
        room *= 16


def _number(struct: dict[int, Value], field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int):
        raise ValueError(f"no number in field {field}")
    return value


def _structs(struct: dict[int, Value], field: int) -> Iterator[dict[int, Value]]:
    values = struct.get(field)
    if not isinstance(values, list):
        raise ValueError(f"no list in field {field}")
    return (value for value in values if isinstance(value, dict))


class _Reader:
    """Reads values of Thrift's compact protocol one after another; after the end it raises `IndexError`."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def struct(self) -> dict[int, Value]:
        found: dict[int, Value] = {}
        field = 0
        while head := self._byte():
            delta, kind = divmod(head, 16)
            field = field + delta if delta else self._signed()
            found[field] = int(kind == 1) if kind in (1, 2) else self._value(kind)
        return found

    def _value(self, kind: int) -> Value:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (7, 8):
            return self._bytes(8 if kind == 7 else self._unsigned())
        if kind in (9, 10):
            return self._list()
        if kind == 12:
            return self.struct()
        raise ValueError(f"unknown type {kind}")

    def _list(self) -> list[Value]:
        n, kind = divmod(self._byte(), 16)
        return [self._value(kind) for _ in range(self._unsigned() if n == 15 else n)]

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, n: int) -> bytes:
        self.at += n
        if self.at > len(self.data):
            raise IndexError
        return self.data[self.at - n : self.at]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) > 127:
            value, shift = value | (byte & 127) << shift, shift + 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
