"""Streams of examples: files that grow, folders, JSON lines; read in chunks, from where the last reading stopped."""

import gzip
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple, Protocol, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acclimate.data.domain import Domain
from acclimate.data.table_files import check_parquet, separator_of, with_decimal_points
from acclimate.errors import BadInput, first_line

BLOCK = 2**24
"""Bytes of a CSV file that are read at once."""
VALUES = 2**22
"""Values of a Parquet file that are read at once."""
IMAGES = 256
"""Images that are read at once."""
PAUSE = 1.0
"""Seconds between two looks at a stream that has not grown."""
Position: TypeAlias = int | list[str]
"""How far a stream was read: bytes of a CSV file, rows, or the names of a folder's images."""


class Chunk(NamedTuple):
    """Some examples, and the position after them."""

    examples: pl.DataFrame | Domain
    position: Position


class Stream(Protocol):
    """Examples that come in an order."""

    @property
    def can_grow(self) -> bool:
        """Whether more may come later."""

    def chunks(self, position: Position, *, whole: bool) -> Iterator[Chunk]:
        """Yield what is there after a position.

        Args:
            position: 0 for the start.
            whole: Whether a last line without an end is a row; if not it may still be in writing.

        Raises:
            BadInput: The stream cannot be read.
        """


@dataclass(frozen=True)
class CsvStream:
    """A CSV file, which may grow, or be compressed by gzip.

    Attributes:
        path: The file.
        types: The type of each column that is to have one; a value that does not fit it counts as missing. The others
            are text.
    """

    path: Path
    types: Mapping[str, pl.DataType]
    can_grow = True

    def chunks(self, position: Position, *, whole: bool) -> Iterator[Chunk]:
        """Yield the rows after a position in bytes."""
        try:
            with self._open() as file:
                header = file.readline()
                if not header.endswith(b"\n"):
                    return
                some = header + file.read(BLOCK // 256).rpartition(b"\n")[0] + b"\n"
                separator = separator_of(some)
                truths = _truths(some, separator)
                start = max(int(position) if isinstance(position, int) else 0, len(header))
                file.seek(start)
                for block in _blocks(file, whole=whole):
                    start += len(block)
                    yield Chunk(self._frame(header, block, separator, truths), start)
        except (OSError, EOFError, pl.exceptions.PolarsError) as error:
            raise BadInput(f"{self.path}: cannot be read ({first_line(error)}); check that it is a CSV file") from error

    def _open(self) -> IO[bytes]:
        with self.path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(self.path)) if zipped else self.path.open("rb")

    def _frame(self, header: bytes, block: bytes, separator: str, truths: Sequence[str]) -> pl.DataFrame:
        names = pl.read_csv(header, separator=separator, infer_schema=False).columns
        types = {**dict.fromkeys(names, pl.String()), **({} if separator != "," else self.types)}
        schema = {name: pl.Boolean() if name in truths else types[name] for name in names}
        frame = pl.read_csv(block, separator=separator, has_header=False, schema=schema, ignore_errors=True)
        if separator != ",":
            frame = frame.with_columns(map(with_decimal_points, frame.iter_columns()))
        wanted = {name: kind for name, kind in self.types.items() if name in names}
        return frame.with_columns(pl.col(name).cast(kind, strict=False) for name, kind in wanted.items())


def _truths(some: bytes, separator: str) -> list[str]:
    """Columns of truth values, which count as 0 and 1."""
    frame = pl.read_csv(some, separator=separator, infer_schema_length=None, ignore_errors=True)
    return [column.name for column in frame.iter_columns() if column.dtype == pl.Boolean]


def _blocks(file: IO[bytes], *, whole: bool) -> Iterator[bytes]:
    """Yield blocks that end with a line; a line break between quotes ends none."""
    rest = b""
    while read := file.read(BLOCK):
        rest += read
        end = _last_end(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest.strip() and whole:
        yield rest


def _last_end(text: bytes) -> int:
    r"""Return the place after the last line break outside quotes; 0 if there is none.

    Example:
        >>> _last_end(b'a,b\n"c\nd'), _last_end(b'a,"b\n"\nc')
        (4, 7)
    """
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    characters = np.frombuffer(text, dtype=np.uint8)
    outside = np.cumsum(characters == ord('"')) % 2 == 0
    ends = np.flatnonzero((characters == ord("\n")) & outside)
    return int(ends[-1]) + 1 if len(ends) else 0


@dataclass(frozen=True)
class ParquetStream:
    """A Parquet file; the position counts rows."""

    path: Path
    can_grow = False

    def chunks(self, position: Position, *, whole: bool) -> Iterator[Chunk]:
        """Yield the rows after a position."""
        try:
            check_parquet(self.path)
            table = pl.scan_parquet(self.path)
            size, start = max(1, VALUES // max(1, len(table.collect_schema()))), position
            assert isinstance(start, int)
            while (frame := table.slice(start, size).collect()).height:
                start += frame.height
                yield Chunk(frame, start)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BadInput(f"{self.path}: not a readable Parquet file ({first_line(error)})") from error


@dataclass(frozen=True)
class LineStream:
    """JSON lines from another process: an object of columns, or a list of numbers, in each.

    Attributes:
        lines: The open stream.
        types: As of `CsvStream`.
        size: Lines that are read at once.
    """

    lines: IO[str]
    types: Mapping[str, pl.DataType]
    size: int
    can_grow = False

    def chunks(self, position: Position, *, whole: bool) -> Iterator[Chunk]:
        """Yield what the process writes; the position counts lines of this call alone."""
        n = 0
        while some := list(islice(self.lines, self.size)):
            rows = [_parsed(line, n + i) for i, line in enumerate(some) if line.strip()]
            n += len(some)
            if rows:
                yield Chunk(_frame_of(rows, self.types), 0)


def _parsed(line: str, number: int) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"-: line {number + 1} is not JSON ({first_line(error)}); write one JSON object a line"
        ) from error
    if isinstance(value, list):
        return {str(i): one for i, one in enumerate(value)}
    if not isinstance(value, dict):
        raise BadInput(f"-: line {number + 1} is neither an object nor a list; write one JSON object a line")
    return value


def _frame_of(rows: Sequence[dict[str, object]], types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = []
    for name in names:
        column = pl.Series(name, [row.get(name) for row in rows], strict=False)
        columns.append(column.cast(types[name], strict=False) if name in types else column)
    return pl.DataFrame(columns)


@dataclass(frozen=True)
class ListedStream:
    """A domain that is read as one: a folder of images, which may grow, or arrays.

    Attributes:
        read: Reads it.
        can_grow: Whether it is a folder.
    """

    read: "Reader"
    can_grow: bool

    def chunks(self, position: Position, *, whole: bool) -> Iterator[Chunk]:
        """Yield the examples after a position; those of a folder have names."""
        domain = self.read()
        size = IMAGES if domain.kind in ("images", "image and text") else VALUES // 64
        known = position if isinstance(position, list) else []
        rows = self._left(domain, position)
        for start in range(0, len(rows), size):
            some = domain.take(rows[start : start + size])
            known = [*known, *some.names]
            yield Chunk(some, known if self.can_grow else int(rows[start]) + len(some))

    def _left(self, domain: Domain, position: Position) -> NDArray[np.int64]:
        if isinstance(position, int):
            return np.arange(position, len(domain))
        seen = set(position)
        return np.array([i for i, name in enumerate(domain.names) if name not in seen], dtype=np.int64)


class Reader(Protocol):
    """Reads a domain."""

    def __call__(self) -> Domain:
        """The domain as it is now."""


def followed(stream: Stream, position: Position, *, follow: bool, whole: bool) -> Iterator[Chunk]:
    """Yield the chunks of a stream; with ``follow`` wait for more until the process is interrupted."""
    while True:
        for chunk in stream.chunks(position, whole=whole and not follow):
            position = chunk.position
            yield chunk
        if not (follow and stream.can_grow):
            return
        time.sleep(PAUSE)
