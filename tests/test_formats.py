"""Files of earlier formats are read in today's form; tests/runs/format_1 has Runs that the first software wrote."""

import json
from pathlib import Path

import pytest

from acclimate.formats import upgrade_scores
from acclimate.run_folder import RunFolder

RUNS = Path(__file__).parent / "runs/format_1"
PART = ("source_val", "target_estimate", "target")


def written(name):
    return json.loads((RUNS / name / "scores.json").read_text("utf-8"))


def part_of(scores):
    return {name: scores[name] for name in PART if name in scores}


def test_the_top_level_is_the_kept_models_where_the_adapted_one_was_rejected():
    old = written("text")
    new = upgrade_scores(old)
    assert part_of(old) != old["source_only"]
    assert part_of(new) == new["source_only"] == old["source_only"]
    assert new["adapted"] == part_of(old)
    assert {**new, **part_of(old)} == {**old, "adapted": part_of(old)}


@pytest.mark.parametrize("name", ["vectors", "linear", "images", "table"])
def test_an_adapted_model_that_was_kept_stands_at_both_places(name):
    old = written(name)
    assert upgrade_scores(old) == {**old, "adapted": part_of(old)}


def test_without_an_adapted_model_nothing_changes():
    old = {**written("vectors")["source_only"], "kept": "source_only", "why": ""}
    assert upgrade_scores(old) == old


@pytest.mark.parametrize("name", ["vectors", "text"])
def test_todays_form_stays(name):
    new = upgrade_scores(written(name))
    assert upgrade_scores(new) == new


def test_the_file_of_an_old_run_stays_as_it_is():
    before = (RUNS / "text/scores.json").read_bytes()
    assert RunFolder(RUNS / "text").scores["adapted"] == part_of(json.loads(before))
    assert (RUNS / "text/scores.json").read_bytes() == before
