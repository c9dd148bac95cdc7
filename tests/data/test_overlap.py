import numpy as np
import polars as pl
import pytest
import samples
import scipy.sparse
from PIL import Image

from acclimate.data import load
from acclimate.data.images import FolderImages
from acclimate.data.overlap import Comparison, Overlap
from acclimate.data.source import as_domain

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
FRAME = pl.DataFrame({"age": [1, 2, 3], "town": ["a", "b", None], "on": [True, None, False]})


def compared(these, among):
    return Comparison().overlap(*(as_domain(given, name="some") for given in (these, among)))


def rewritten(folder, ending, **options):
    """Write the pictures of a folder again, in another format and under other names."""
    for i, path in enumerate(sorted(folder.rglob("*.*"))):
        Image.open(path).save(path.with_name(f"{i}-again.{ending}"), **options)
        path.unlink()
    return folder


@pytest.mark.parametrize(
    ("these", "among", "found"),
    [
        (X[5:], X[:10], 5),
        (scipy.sparse.csr_array(X[5:]), X[:10], 5),
        (-0.0 * X[:1], 0.0 * X[:1], 1),
        (FRAME, FRAME.select("on", pl.col("age").cast(pl.Float64), "town"), 3),
        (FRAME, FRAME.with_columns(pl.col("town").fill_null("")), 2),
        (["good  book\r\n", "bad"], ["good book", "worse"], 1),
        (np.arange(128, dtype=np.uint8).reshape(2, 8, 8), np.arange(64, dtype=np.uint8).reshape(1, 8, 8), 1),
    ],
)
def test_rows_are_compared_by_their_values(these, among, found):
    assert compared(these, among).found == found


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff"])
def test_a_picture_in_another_format_is_found_by_its_pixels(tmp_path, ending):
    known, copy = (samples.images(tmp_path / name) for name in "ab")
    assert compared(rewritten(copy, ending), known) == Overlap(6, 6, 0, same=True)


def test_a_lossless_copy_of_a_photograph_is_found(tmp_path):
    known, copy = (rewritten(samples.images(tmp_path / name), "jpg") for name in "ab")
    assert compared(rewritten(copy, "png"), known).found == 6


def test_a_photograph_with_other_metadata_is_found_without_its_pixels(tmp_path, monkeypatch):
    known, copy = (rewritten(samples.images(tmp_path / name), "jpg") for name in "ab")
    for path in copy.rglob("*.jpg"):
        content = path.read_bytes()
        path.write_bytes(content[:2] + b"\xff\xfe\x00\x07hello" + content[2:])
    monkeypatch.delattr(FolderImages, "read")
    assert compared(copy, known).same


def test_pictures_in_memory_are_found_in_files(tmp_path):
    folder = samples.images(tmp_path / "a")
    images = load(folder).images
    pixels = np.stack([images.read(i) for i in range(len(images))])
    assert compared(pixels, folder) == compared(folder, pixels) == Overlap(6, 6, 0, same=True)


def test_other_pictures_of_one_size_are_not_the_same(tmp_path):
    assert not compared(samples.images(tmp_path / "a"), samples.images(tmp_path / "b", seed=1)).found


def test_grey_pictures_are_the_same_with_one_channel_and_with_three():
    grey = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    assert compared(grey, np.repeat(grey[..., None], 3, axis=3)).found == 3


def test_pictures_that_cannot_be_read_are_like_no_other(tmp_path):
    known, other = (samples.images(tmp_path / name, seed=i) for i, name in enumerate("ab"))
    for i, folder in enumerate((known, other)):
        (folder / "cat/0.png").write_bytes(b"broken" + bytes(i))
    assert not compared(other, known).found


def test_an_image_with_a_text_needs_both_to_agree(tmp_path):
    known, other = (
        load(samples.catalogue(tmp_path / thing, thing=thing), image="photo", text="text", label="mood")
        for thing in ("book", "film")
    )
    assert (compared(known, known).found, compared(other, known).found) == (12, 0)


def test_each_file_is_decoded_once_for_several_comparisons(tmp_path, monkeypatch):
    read, begun = FolderImages.read, []
    monkeypatch.setattr(FolderImages, "read", lambda self, i, size=None: begun.append(i) or read(self, i, size))
    photographs = load(rewritten(samples.images(tmp_path / "photographs"), "jpg"))
    comparison = Comparison()
    for i in range(1, 3):
        comparison.overlap(load(samples.images(tmp_path / str(i), seed=i)), photographs)
    assert len(begun) == 6


@pytest.mark.parametrize(
    ("found", "exceeds"),
    [
        (Overlap(1, 100), False),
        (Overlap(2, 100), True),
        (Overlap(60, 100, repeated=0.6), False),
        (Overlap(90, 100, repeated=0.6), True),
        (Overlap(60, 60, repeated=1.0), False),
        (Overlap(60, 60, repeated=1.0, same=True), True),
    ],
)
def test_rows_that_repeat_by_nature_are_no_leak_unless_all_are_the_same(found, exceeds):
    assert found.exceeds(0.01) is exceeds


def test_rows_of_few_categories_are_found_by_chance_and_do_not_exceed():
    rng = np.random.default_rng(0)
    these, among = (pl.DataFrame({c: rng.integers(0, 3, 200) for c in "abc"}) for _ in range(2))
    found = compared(these, among)
    assert found.found > 150
    assert not found.exceeds(0.01)
