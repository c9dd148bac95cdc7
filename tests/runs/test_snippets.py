"""Snippets of examples."""

import base64
import io

import numpy as np
import polars as pl
import pytest
import samples
import torch
from PIL import Image

from acclimate import data
from acclimate.data.arrays import from_arrays
from acclimate.run_folder import RunFolder
from acclimate.runs import snippets
from acclimate.runs.snippets import keep_snippets, read_snippets


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2])))


def test_images_are_resized_to_64_pixels(run, tmp_path):
    keep_snippets(run, "target", data.load(samples.images(tmp_path / "images", size=200)))
    kept = read_snippets(run, "target")
    assert len(kept) == 6
    assert {opened(snippet.image).size for snippet in kept.values()} == {(64, 64)}


def test_grey_images_come_back_as_they_were(run):
    x = np.random.default_rng(0).integers(0, 2, (2, 8, 8)).astype(np.uint8) * 255
    keep_snippets(run, "target", from_arrays(x, name="target"))
    assert np.array_equal(opened(read_snippets(run, "target")[1].image), x[1])


def test_long_texts_are_cut(run, tmp_path):
    pl.DataFrame({"text": ["word " * 500, "short"]}).write_csv(tmp_path / "texts.csv")
    keep_snippets(run, "target", data.load(tmp_path / "texts.csv", text="text"))
    kept = read_snippets(run, "target")
    assert len(kept[0].text) <= snippets.LETTERS
    assert kept[0].text.endswith("word…")
    assert kept[1].text == "short"


def test_a_row_of_a_table_shows_its_first_columns(run, table):
    keep_snippets(run, "target", data.load(table, label="sick"))
    assert read_snippets(run, "target")[0].text == "age 20.0 · town Linz"


def test_vectors_have_no_snippet(run):
    keep_snippets(run, "target", from_arrays(np.ones((3, 2)), name="target"))
    assert set(read_snippets(run, "target").values()) == {snippets.Snippet()}


def test_a_damaged_image_has_no_snippet(run, image_folder):
    domain = data.load(image_folder)
    next(image_folder.rglob("*.png")).write_bytes(b"bad")
    keep_snippets(run, "target", domain)
    assert sum(not snippet.image for snippet in read_snippets(run, "target").values()) == 1


def test_large_domains_keep_some(run):
    keep_snippets(run, "target", from_arrays(np.ones((2000, 2)), name="target"))
    assert len(read_snippets(run, "target")) == snippets.SHOWN


def test_shown_rows_are_among_those_with_features():
    from acclimate.runs.outputs import FEATURE_ROWS

    with_features = np.random.default_rng(0).permutation(5000)[:FEATURE_ROWS]
    assert set(snippets.shown(5000)) <= set(with_features)


def test_a_strip_comes_back_as_pairs(run):
    plain = torch.randint(0, 256, (3, 3, 100, 80), dtype=torch.uint8)
    snippets.keep_strip(run, "source", plain, 255 - plain)
    kept = snippets.read_strip(run, "source")
    assert len(kept) == 3
    above, below = (np.asarray(opened(url), dtype=float) for url in kept[0])
    assert above.shape == (64, 51, 3)
    np.testing.assert_allclose(above + below, 255, atol=60)


def test_without_a_strip_there_are_no_pairs(run):
    assert snippets.read_strip(run, "target") == []
