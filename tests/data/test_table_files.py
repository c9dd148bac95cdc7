"""The same table, in whatever file it is, is the same frame."""

import gzip
import importlib.util
import zipfile

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from acclimate.data import load, unpacking
from acclimate.data.table_files import read
from acclimate.errors import BadInput

FRAME = pl.DataFrame({"age": [1, 2, 3], "price": [1.5, -2.25, 1234.0], "town": ["Graz", "a;b, c", "Linz"]})
COMMAS = 'age;price;town\n1;1,5;Graz\n2;-2,25;"a;b, c"\n3;1.234,0;Linz\n'
FILES = {
    "a.tsv": FRAME.write_csv(separator="\t"),
    "a.csv": FRAME.write_csv(separator=";"),
    "b.csv": FRAME.write_csv(separator="\t"),
    "c.csv": FRAME.write_csv(separator="|"),
    "d.csv": COMMAS,
    "a.jsonl": FRAME.write_ndjson(),
    "a.ndjson": FRAME.write_ndjson(),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_the_same_table_is_read_from_every_text_file(tmp_path, name, packed):
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(FILES[name].encode()) if packed else FILES[name].encode())
    assert_frame_equal(load(path).table, FRAME)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("text\nfine; really\n", ["text"]),
        ("a,b;c\n1,2\n", ["a", "b;c"]),
        ("size, cm;town\n1;x\n2;y\n", ["size, cm", "town"]),
        ('a,b\n"x;y",1\n', ["a", "b"]),
        ("a;b\n", ["a", "b"]),
        ("a\n1\n", ["a"]),
    ],
)
def test_the_separator_is_told_from_the_file(tmp_path, text, columns):
    (tmp_path / "a.csv").write_text(text)
    assert read(tmp_path / "a.csv").columns == columns


def test_rows_after_the_first_kilobytes_are_read_too(tmp_path):
    (tmp_path / "a.csv").write_text("a;b\n" + "1,5;x\n" * 20_000)
    assert read(tmp_path / "a.csv")["a"].sum() == 30_000


def test_only_columns_in_which_every_value_is_such_a_number_have_decimal_commas(tmp_path):
    (tmp_path / "a.csv").write_text("a;b;c;d\n1,5;1,5;1.234;01.02.2024\n;x;2.5;02.02.2024\n")
    frame = read(tmp_path / "a.csv")
    assert frame["a"].to_list() == [1.5, None]
    assert frame["b"].to_list() == ["1,5", "x"]
    assert frame["c"].to_list() == [1.234, 2.5]


def test_without_fastexcel_the_message_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"a\.xlsx: Excel files need the package fastexcel; run `pip install"):
        load(tmp_path / "a.xlsx")


def test_an_excel_file_is_read(tmp_path):
    pytest.importorskip("fastexcel")
    pytest.importorskip("xlsxwriter")
    FRAME.write_excel(tmp_path / "a.xlsx")
    assert_frame_equal(load(tmp_path / "a.xlsx").table, FRAME, check_dtypes=False)


def test_an_excel_file_unpacks_to_no_more_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED", 2**20)
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", bytes(2**23))
    with pytest.raises(BadInput, match=r"a\.xlsx: unpacks to more than 1,048,576 bytes.*save the sheet as CSV"):
        load(tmp_path / "a.xlsx")


def test_a_damaged_excel_file_is_one_line(tmp_path):
    pytest.importorskip("fastexcel")
    (tmp_path / "a.xlsx").write_bytes(b"hello")
    with pytest.raises(BadInput, match=r"a\.xlsx: not a readable table"):
        load(tmp_path / "a.xlsx")
