import shutil

import numpy as np
import polars as pl
import pytest
from samples import shifted

from acclimate import adapt
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import read_class_outputs
from acclimate.workflows.keep import leaves_source, why_not

FAST = {"steps": 30, "settings": {"train.batch_size": 16}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Run with a healthy adapted model."""
    folder = tmp_path_factory.mktemp("keep") / "run"
    return adapt(shifted(), shifted(shift=1, seed=1)[0], folder, method="deep_coral", **FAST)


def write_target(run, probabilities):
    """Give the adapted model other probabilities for the target."""
    frame = read_frame(run)
    column = pl.Series("probabilities", probabilities, dtype=frame["probabilities"].dtype)
    run.write("outputs/target-adapted-0.parquet", frame.with_columns(column).write_parquet)


def read_frame(run):
    return pl.read_parquet(run.outputs(0, "adapted", "target"))


def test_a_healthy_model_is_kept(run):
    assert why_not(run, run.recipe) == ""
    assert run.scores["kept"] == "adapted"


def test_a_model_that_predicts_one_class_is_not_kept(run, tmp_path):
    changed, n = (
        RunFolder(shutil.copytree(run.path, tmp_path / "copy")),
        len(read_class_outputs(run, 0, "adapted", "target").predicted),
    )
    write_target(changed, np.tile([0.9, 0.1], (n, 1)).tolist())
    assert "predicts" in why_not(changed, run.recipe)


def test_no_guard_keeps_it_all_the_same(tmp_path):
    x, y = shifted(shift=2, seed=2)
    turned = {"method": "supervised", "target_labels": (x, 1 - y), "steps": 100, "settings": {"train.lr": 0.02}}
    scores = adapt(shifted(), x, tmp_path / "run", no_guard=True, **turned).scores
    assert (scores["kept"], scores["why"]) == ("adapted", "")


@pytest.mark.parametrize(("method", "leaves"), [("shot", True), ("nrc", True), ("mcc", False), ("supervised", False)])
def test_only_methods_of_the_unlabelled_target_alone_may_fall_on_the_source(run, method, leaves):
    assert leaves_source(run.recipe.model_copy(update={"method": method})) is leaves
