import gzip

import polars as pl

from acclimate.data import streams
from acclimate.data.streams import CsvStream, ParquetStream

TYPES = {"a": pl.Float64(), "b": pl.String()}


def read(stream, position=0, *, whole=True):
    chunks = list(stream.chunks(position, whole=whole))
    return (pl.concat([chunk.examples for chunk in chunks]).rows() if chunks else []), [c.position for c in chunks]


def test_blocks_end_with_whole_rows_whatever_their_size(tmp_path, monkeypatch):
    (tmp_path / "s.csv").write_text('a,b\n1,x\n2,"two\nlines"\n3,z\n')
    for size in (1, 5, 9, 1000):
        monkeypatch.setattr(streams, "BLOCK", size)
        assert read(CsvStream(tmp_path / "s.csv", TYPES))[0] == [(1.0, "x"), (2.0, "two\nlines"), (3.0, "z")]


def test_a_line_still_in_writing_is_left_for_later(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("a,b\n1,x\n2,y")
    rows, [position] = read(CsvStream(path, TYPES), whole=False)
    assert rows == [(1.0, "x")]
    path.write_text("a,b\n1,x\n2,yes\n")
    assert read(CsvStream(path, TYPES), position)[0] == [(2.0, "yes")]


def test_gzip_other_separators_and_truth_values_are_read(tmp_path):
    (tmp_path / "s.csv.gz").write_bytes(gzip.compress(b"a;b\n1,5;x\n2,25;y\n"))
    assert read(CsvStream(tmp_path / "s.csv.gz", TYPES))[0] == [(1.5, "x"), (2.25, "y")]
    (tmp_path / "t.csv").write_text("a,b\ntrue,x\nfalse,y\n")
    assert read(CsvStream(tmp_path / "t.csv", TYPES))[0] == [(1.0, "x"), (0.0, "y")]


def test_a_value_of_another_type_is_missing(tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n1,x\noops,y\n")
    assert read(CsvStream(tmp_path / "s.csv", TYPES))[0] == [(1.0, "x"), (None, "y")]


def test_parquet_is_read_in_parts(tmp_path, monkeypatch):
    pl.DataFrame({"a": range(10), "b": range(10)}).write_parquet(tmp_path / "s.parquet")
    monkeypatch.setattr(streams, "VALUES", 6)
    assert read(ParquetStream(tmp_path / "s.parquet"), 4)[1] == [7, 10]
