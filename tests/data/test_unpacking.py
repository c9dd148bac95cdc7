"""Small files that unpack to gigabytes are refused, and what they claim is not believed."""

import gzip
import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import samples
import scipy.sparse

from acclimate.data import load, skops_files, unpacking
from acclimate.data.images import ZipImages
from acclimate.errors import BadInput

MB = 2**20
METHODS = {"stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}


def lying_zip(path: Path, *, n: int, method: int) -> Path:
    """An image of ``n`` zero bytes, of which the directory states 512 KB, after which `zipfile` stops."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("cat/1.png", bytes(n))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2") + 24
    data[at : at + 4] = struct.pack("<I", 2**19)
    path.write_bytes(data)
    return path


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The start of an array's file, and nothing of the array."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def peak(read) -> int:
    """The most bytes that were allocated while ``read`` failed."""
    tracemalloc.start()
    with pytest.raises(BadInput):
        read()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_members_are_read_whole_up_to_the_limit(tmp_path, method):
    content = np.random.default_rng(0).integers(0, 4, 3 * MB).astype(np.uint8).tobytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a", content)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        member = archive.getinfo("a")
        assert unpacking.read_member(archive, member, len(content)) == content
        assert unpacking.read_member(archive, member, len(content) - 1) is None


def test_a_damaged_bzip2_member_is_noticed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", b"hello")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        member = archive.getinfo("a")
        member.CRC ^= 1
        with pytest.raises(zipfile.BadZipFile, match="CRC"):
            unpacking.read_member(archive, member, 9)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_an_image_in_a_zip_unpacks_to_no_more_than_the_limit(tmp_path, method):
    path = lying_zip(tmp_path / "a.zip", n=64 * MB, method=method)
    images = ZipImages(path, "", ["cat/1.png"])
    assert peak(lambda: images.read(0)) < 40 * MB


def test_an_array_is_refused_by_its_header_before_memory_is_taken(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy_header((10**6, 10**6)) + bytes(8))
    with pytest.raises(BadInput, match=r"array 'x': unpacks to more than 268,435,456 bytes.*without compression"):
        load(tmp_path / "a.npz")


def test_an_array_that_compresses_too_well_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED", MB)
    np.savez_compressed(tmp_path / "zeros.npz", x=np.zeros((MB, 4), dtype=np.uint8))
    np.savez(tmp_path / "plain.npz", x=np.zeros((MB, 4), dtype=np.uint8))
    assert len(load(tmp_path / "plain.npz")) == MB
    with pytest.raises(BadInput, match="like a decompression bomb"):
        load(tmp_path / "zeros.npz")


@pytest.mark.parametrize("shape", [(2, 10**12), (10**12, 2)])
@pytest.mark.parametrize("form", ["csr", "coo", "csc"])
def test_sparse_rows_that_claim_terabytes_are_refused(tmp_path, form, shape):
    rows = {key: np.zeros(1, int) for key in ("row", "col", "indices")} | {"indptr": np.array([0, 1, 1])}
    np.savez(tmp_path / "a.npz", format=form.encode(), shape=shape, data=np.ones(1, np.float32), **rows)
    with pytest.raises(BadInput, match=r"states the shape .*may have up to"):
        load(tmp_path / "a.npz")


def test_sparse_rows_of_every_format_are_still_read(tmp_path):
    for form in ("csr", "csc", "coo", "bsr", "dia"):
        scipy.sparse.save_npz(tmp_path / f"{form}.npz", scipy.sparse.eye_array(4, format=form))
        np.testing.assert_array_equal(load(tmp_path / f"{form}.npz").vectors.toarray(), np.eye(4))


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv"])
def test_a_table_is_unpacked_up_to_the_limit(tmp_path, monkeypatch, name):
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED", 4 * MB)
    (tmp_path / name).write_bytes(gzip.compress(b"a\n" + b"1\n" * 4 * MB))
    with pytest.raises(BadInput, match=r"a\.csv.*: unpacks to more than 4,194,304 bytes"):
        load(tmp_path / name)
    assert peak(lambda: load(tmp_path / name)) < 12 * MB


def test_a_gzipped_table_is_read(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,x\n2,y\n"))
    assert load(tmp_path / "a.csv.gz").table.rows() == [(1, "x"), (2, "y")]


def test_a_table_compressed_in_another_way_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes.fromhex("28b52ffd") + bytes(40))
    with pytest.raises(BadInput, match=r"compressed by a method other than gzip"):
        load(tmp_path / "a.csv")


def test_a_parquet_file_of_billions_of_rows_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pl, "read_parquet", lambda *_: pytest.fail("the file is read"))
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED", MB)
    pl.DataFrame({"a": np.zeros(10**6, dtype=np.int8)}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(BadInput, match="1,000,000 rows of 1 columns: unpacks to more than"):
        load(tmp_path / "a.parquet")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_skops_file_unpacks_to_no_more_than_the_limit(tmp_path, monkeypatch, method):
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED", 4 * MB)
    path = tmp_path / "model.skops"
    samples.skops_file(path, samples.skops_node("JsonNode", "builtins.str", content='"a"', is_json=True))
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("more", bytes(64 * MB))
    assert peak(lambda: skops_files.load(path, skops_files.Types(frozenset()))) < 20 * MB
