"""Files of tables as frames: CSV and its relatives, JSON lines, Excel and Parquet."""

import csv
import importlib.util
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from acclimate.data.parquet_pages import unpacked_size
from acclimate.data.unpacking import check_members, gunzip, largest, like_a_bomb
from acclimate.errors import BadInput, first_line, is_panic

JSON_LINES, EXCEL = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), (".xlsx", ".xls")
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", *JSON_LINES, *EXCEL, ".parquet")
READABLE = ".csv, .tsv or .jsonl (each also with .gz), .xlsx, .xls or .parquet"
"""The endings, as messages list them."""
SEPARATORS = (",", ";", "\t", "|")
"""What may separate the columns of a CSV file; the first that fits is taken."""
SAMPLE = 2**16
"""Bytes at the start of a CSV file from which the separator is told."""
DECIMAL_COMMA = r"^\s*[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?\s*$"
"""A number written with a decimal comma, or without decimals; dots then group thousands."""

GZIP, COMPRESSED = b"\x1f\x8b", (b"\x28\xb5\x2f\xfd", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
"""How gzip files start, and those of other methods (zstd, zlib) that polars unpacks."""


def read(path: Path) -> pl.DataFrame:
    """Read the table in a file, whose kind its ending tells.

    Raises:
        BadInput: It cannot be read, or it unpacks to far more than its size.
    """
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            return _read_parquet(path)
        if name.endswith(EXCEL):
            return _read_excel(path)
        plain = _unpacked(path)
        return pl.read_ndjson(plain, infer_schema_length=None) if name.endswith(JSON_LINES) else _read_csv(plain, path)
    except BadInput:
        raise
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError, ValueError, EOFError, zlib.error) as error:
        raise BadInput(_unreadable(path, first_line(error))) from error
    except BaseException as error:  # polars panics on some damaged files, and a panic is not an Exception
        if not is_panic(error):
            raise
        raise BadInput(_unreadable(path, "damaged")) from error


def _unpacked(path: Path) -> Path | bytes:
    """Return what polars is to read; it would unpack any compressed file, without a limit."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(GZIP):
        return gunzip(path)
    if start.startswith(COMPRESSED):
        raise BadInput(f"{path}: compressed by a method other than gzip; unpack it, or compress it with gzip")
    return path


def _read_csv(plain: Path | bytes, path: Path) -> pl.DataFrame:
    separator = separator_of(plain)
    frame = pl.read_csv(plain, separator=separator, infer_schema_length=None, try_parse_dates=True)
    if any("\0" in column for column in frame.columns):
        raise BadInput(f"{path}: not a CSV file in UTF-8 (contains zero bytes); save it as UTF-8 text")
    return frame if separator == "," else frame.with_columns(map(with_decimal_points, frame.iter_columns()))


def separator_of(plain: Path | bytes) -> str:
    """Return what separates the columns: commas, unless they don't fit and something else does."""
    if isinstance(plain, Path):
        with plain.open("rb") as file:
            start = file.read(SAMPLE)
    else:
        start = plain[:SAMPLE]
    text = start.decode("utf-8", "replace")
    found = {separator: _widths(text, separator, whole=len(start) < SAMPLE) for separator in SEPARATORS}
    several = [separator for separator, widths in found.items() if widths and widths[0] > 1]
    even = [separator for separator in several if len(set(found[separator])) == 1]
    return next(iter([*([","] if "," in even else []), *even, *several, ","]))


def _widths(text: str, separator: str, *, whole: bool) -> Sequence[int]:
    """Return the number of fields in each row; the last row counts only if the text is ``whole``."""
    try:
        rows = [len(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    except csv.Error:
        return []
    return rows if whole or len(rows) < 2 else rows[:-1]


def with_decimal_points(column: pl.Series) -> pl.Series:
    """Return numbers for a column of texts that are numbers with decimal commas; any other column as it is."""
    if column.dtype != pl.String or not column.str.contains(",", literal=True).any():
        return column
    if not column.str.contains(DECIMAL_COMMA).all():
        return column
    plain = column.str.strip_chars().str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return plain.cast(pl.Float64)


def _read_excel(path: Path) -> pl.DataFrame:
    """Read the first sheet."""
    if not importlib.util.find_spec("fastexcel"):
        raise BadInput(
            f"{path}: Excel files need the package fastexcel; run `pip install acclimate[excel]`, or save it as CSV"
        )
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_members(archive, str(path), path.stat().st_size, fix="save the sheet as CSV")
        return pl.read_excel(path, infer_schema_length=None)
    except BadInput:
        raise
    except Exception as error:  # damaged files raise all kinds of exceptions
        raise BadInput(_unreadable(path, first_line(error))) from error


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        check_parquet(path)
    except (ArithmeticError, IndexError, RecursionError) as error:
        raise BadInput(_unreadable(path, "damaged")) from error
    frame, most = pl.read_parquet(path), largest(path.stat().st_size)
    # many rows can share one long text, which becomes a text of its own for each
    if sum(int(column.str.len_bytes().sum() or 0) for column in frame.select(pl.col(pl.String)).iter_columns()) > most:
        raise like_a_bomb(str(path), most, fix="save it as CSV if its texts are right")
    return frame


def check_parquet(path: Path) -> None:
    """Refuse a file whose values or pages need more memory than it may, before any is read.

    Raises:
        BadInput: They do.
        ValueError: It is damaged, as are the other exceptions of polars.
    """
    table = pl.scan_parquet(path)
    columns, rows = len(table.collect_schema()), int(table.select(pl.len()).collect().item())
    most = largest(path.stat().st_size)
    if 8 * columns * rows > most:
        raise like_a_bomb(f"{path}: {rows:,} rows of {columns} columns", most, fix="save it as CSV if these are right")
    if unpacked_size(path, most) > most:
        raise like_a_bomb(str(path), most, fix="save it without compression")


def _unreadable(path: Path, why: str) -> str:
    if "utf" in why.lower():
        return f"{path}: not UTF-8 text ({why}); save it as UTF-8"
    if "empty CSV" in why:
        return f"{path}: is empty; give a table with a header and rows"
    if "more fields" in why:
        return f"{path}: a row has more fields than the header; quote the commas in it, or correct the row"
    return f"{path}: not a readable table ({why}); check that it is complete and has the right file ending"
