"""Runs that format 1's first software wrote still open and predict what they predicted then."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from acclimate import Run

RUNS = Path(__file__).parent / "format_1"
INPUTS = {
    "vectors": "vectors.npz",
    "linear": "vectors.npz",
    "images": "images.npz",
    "table": "table.csv",
    "text": "table.csv",
}


@pytest.mark.parametrize("name", INPUTS)
def test_it_predicts_what_it_predicted(name):
    found = Run.open(RUNS / name).predict(RUNS / INPUTS[name], model="kept").drop("distance")
    before = pl.read_csv(RUNS / f"{name}.predicted.csv", schema=found.schema)
    assert_frame_equal(found, before, abs_tol=1e-4)


def test_its_report_is_drawn(tmp_path, acclimate):
    shutil.copytree(RUNS / "vectors", tmp_path / "run")
    assert acclimate("report", tmp_path / "run").code == 0
    accuracy = Run.open(tmp_path / "run").scores["target"]["accuracy"]
    assert f"{accuracy:.1%}" in (tmp_path / "run/report.html").read_text("utf-8")
