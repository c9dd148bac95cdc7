"""Text by an encoder, through the whole house."""

import shutil

import numpy as np
import polars as pl
import pytest
import samples

from acclimate import adapt
from acclimate.runs.run import Run

pytestmark = pytest.mark.slow  # a pretrained encoder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    samples.reviews(folder / "books.csv")
    samples.reviews(folder / "films.csv", thing="film")
    return folder


@pytest.fixture(scope="module")
def run(places) -> Run:
    """A Run whose encoder is gone from where it was."""
    samples.encoder(places / "gone")
    run = adapt(
        places / "books.csv", places / "films.csv", places / "run", method="dann", text="text", label="mood",
        backbone=f"encoder:{places / 'gone'}", steps=30, score=places / "films.csv",
        settings={"train.lr": 0.01, "train.batch_size": 8},
    )  # fmt: skip
    shutil.rmtree(places / "gone")
    return run


def test_a_run_stands_without_the_encoders_folder(run, places):
    before = pl.read_parquet(run.outputs(0, run.kept, "target"))["probabilities"].to_list()
    predicted = Run.open(run.path).predict(places / "films.csv").select("p_bad", "p_good").to_numpy()
    np.testing.assert_allclose(predicted, np.array(before), atol=1e-6)


def test_the_encoder_itself_has_learnt(run):
    assert run.scores["target"]["accuracy"] == 1
    assert run.recipe.train.optimizer == "adamw"


def test_a_run_is_gone_on_from_without_the_encoders_folder(run, places):
    after = adapt(run, places / "films.csv", places / "after", method="shot", steps=2)
    assert after.predict(places / "films.csv").height == 24


def test_texts_of_any_length_and_form_are_predicted(run, tmp_path):
    pl.DataFrame({"text": ["", "good " * 99, "никогда", None]}).write_csv(tmp_path / "odd.csv")
    assert run.predict(tmp_path / "odd.csv")["class"].null_count() == 0


def test_command_line(places, acclimate, tmp_path):
    samples.encoder(tmp_path / "tiny")
    told = acclimate(
        "adapt", places / "books.csv", places / "films.csv", "-o", tmp_path / "run", "--text", "text", "--label",
        "mood", "--backbone", f"encoder:{tmp_path / 'tiny'}", "--set", "backbone.length=4", "--steps", 2,
        "--method", "source_only",
    )  # fmt: skip
    assert told.code == 0, told.lines
    assert not any("Loading" in line or "transformers" in line for line in told.lines)
    told = acclimate("predict", tmp_path / "run", places / "films.csv", "-o", tmp_path / "p.csv")
    assert told.code == 0
    assert pl.read_csv(tmp_path / "p.csv").height == 24
