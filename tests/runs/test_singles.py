"""One example gives one row, in whatever form it is handed over."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from acclimate.runs.run import Run

RUNS = Path(__file__).parent / "format_1"
PICTURES = np.load(RUNS / "images.npz")["x"]
PICTURE = PICTURES[0]


@pytest.fixture(scope="module")
def run():
    return Run.open(RUNS / "images")


@pytest.fixture(scope="module")
def usual(run):
    """What it predicts for the picture among others."""
    return run.predict(PICTURES[:2])["class"][0]


def channels_first(picture):
    return torch.from_numpy(picture if picture.ndim == 2 else picture.transpose(2, 0, 1).copy())


@pytest.mark.parametrize(
    "of", [Image.fromarray, np.asarray, channels_first, lambda picture: [Image.fromarray(picture)]]
)
def test_one_image_gives_one_row(run, usual, of):
    assert run.predict(of(PICTURE))["class"].to_list() == [usual]


@pytest.mark.parametrize("of", [str, Path, lambda path: [path]])
def test_the_path_of_an_image_gives_one_row_with_its_name(run, usual, tmp_path, of):
    Image.fromarray(PICTURE).save(tmp_path / "one.png")
    found = run.predict(of(tmp_path / "one.png"))
    assert (found["name"].to_list(), found["class"].to_list()) == ([str(tmp_path / "one.png")], [usual])


def test_a_grey_image_is_one_image(run):
    assert run.predict(np.zeros((8, 12), np.uint8)).height == 1


def test_a_list_and_an_array_give_a_row_each(run):
    assert run.predict(list(PICTURES[:3]))["class"].to_list() == run.predict(PICTURES[:3])["class"].to_list()


def test_one_vector_gives_one_row():
    run, x = Run.open(RUNS / "vectors"), np.load(RUNS / "vectors.npz")["x"]
    assert run.predict(x[0])["class"].to_list() == run.predict(x[:1])["class"].to_list()


def test_a_frame_gives_a_row_each():
    frame = pl.read_csv(RUNS / "table.csv")
    assert Run.open(RUNS / "table").predict(frame[:1]).height == 1
