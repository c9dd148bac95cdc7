"""The pages of Parquet files are counted by the headers that readers believe."""

import contextlib
import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from acclimate.data import load, unpacking
from acclimate.data.parquet_pages import PER_PAGE, unpacked_size
from acclimate.errors import BadInput

MB = 2**20


@pytest.mark.parametrize("compression", ["uncompressed", "snappy", "gzip", "zstd", "lz4"])
def test_pages_unpack_to_the_size_of_the_numbers(tmp_path, compression):
    numbers = np.random.default_rng(0).normal(size=(50_000, 2))
    pl.DataFrame(numbers).write_parquet(tmp_path / "a.parquet", compression=compression, row_group_size=8000)
    found = unpacked_size(tmp_path / "a.parquet", 10**9)
    assert numbers.nbytes < found < 1.1 * numbers.nbytes


def test_every_type_of_column_is_walked_through(tmp_path):
    frame = pl.DataFrame(
        {
            "text": ["a", None, "c" * 5000],
            "day": [datetime.date(2024, 1, 1)] * 3,
            "nested": [[1, 2], [], [3]],
            "struct": [{"a": 1, "b": True}] * 3,
            "kind": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet", statistics="full")
    assert 5000 < unpacked_size(tmp_path / "a.parquet", 10**9) < 7000


def test_a_text_that_unpacks_to_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    pl.DataFrame({"a": ["x" * 8 * MB]}).write_parquet(tmp_path / "a.parquet", compression="zstd", statistics=False)
    assert (tmp_path / "a.parquet").stat().st_size < 5000
    monkeypatch.setattr(pl, "read_parquet", lambda *_: pytest.fail("the file is read"))
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED", MB)
    with pytest.raises(BadInput, match=r"a\.parquet: unpacks to more than 1,048,576 bytes"):
        load(tmp_path / "a.parquet")


def test_a_long_text_that_many_rows_share_is_refused(tmp_path, monkeypatch):
    pl.DataFrame({"a": ["x" * 5000] * 1000}).write_parquet(tmp_path / "a.parquet", statistics=False)
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED", MB)
    with pytest.raises(BadInput, match=r"unpacks to more than 1,048,576 bytes.*save it"):
        load(tmp_path / "a.parquet")


def test_counting_ends_at_the_limit(tmp_path):
    pl.DataFrame({"a": np.arange(10_000)}).write_parquet(tmp_path / "a.parquet", row_group_size=10)
    assert 1000 < unpacked_size(tmp_path / "a.parquet", 1000) < 1000 + 80 + PER_PAGE + 1


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_raise_nothing_but_bad_input(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = Path(tmp_path / "a.parquet")
    pl.DataFrame({"a": np.arange(100), "b": ["x"] * 100}).write_parquet(path)
    data = bytearray(path.read_bytes())
    for at in rng.integers(len(data) // 2, len(data) - 8, 6):
        data[at] = rng.integers(256)
    path.write_bytes(data)
    with contextlib.suppress(BadInput):
        assert len(load(path)) == 100
