"""The ensemble of a comparison and its student, which are Runs beside the winner."""

import numpy as np
import pytest
from samples import shifted

import acclimate
from acclimate.runs.outputs import read_class_outputs
from acclimate.runs.run import Run
from acclimate.workflows.compare import together

TARGET = shifted(shift=2, seed=1)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    given = shifted(), TARGET[0], tmp_path_factory.mktemp("compare") / "out"
    return acclimate.compare(*given, methods=["dann", "nrc"], seeds=2, steps=8, score=TARGET)


@pytest.mark.parametrize("name", ["ensemble", "student"])
def test_it_is_a_run_that_predicts(compared, name):
    assert Run.open(compared.path / name).predict(TARGET[0][:5]).height == 5


def test_the_ensemble_has_the_best_setting_of_each_method(compared):
    rows = {row["name"]: row for row in compared.found["ranking"]}
    [found] = [row for row in compared.found["ensembles"] if row["name"] == "ensemble"]
    for name in (names := list(found["members"]["0"])):
        same = [row["rank"] for row in rows.values() if row["method"] == rows[name]["method"]]
        assert rows[name]["rank"] == max(same)
    assert {rows[name]["method"] for name in names} == {"dann", "nrc"}


def test_the_student_is_scored_as_its_run_is(compared):
    [row] = [row for row in compared.found["ensembles"] if row["name"] == "student"]
    scores = Run.open(compared.path / "student").scores
    assert row["target"]["accuracy"] == scores["adapted"]["target"]["accuracy"]


def test_the_page_names_the_runs(compared):
    page = (compared.path / "compare.html").read_text("utf-8")
    assert "<code>ensemble</code>" in page
    assert "<code>student</code>" in page


def test_the_ensemble_predicts_the_mean(compared):
    run = Run.open(compared.path / "ensemble")
    outputs = read_class_outputs(run, 0, "adapted", "target").probabilities
    assert len(run.recipe.members) == 2
    assert np.allclose(outputs.sum(1), 1)


@pytest.mark.parametrize(("reasons", "passes"), [(["", "collapsed"], False), (["", "", "collapsed"], True)])
def test_a_setting_that_gates_reject_in_half_of_the_seeds_is_no_member(reasons, passes):
    assert together.passes(reasons) is passes
