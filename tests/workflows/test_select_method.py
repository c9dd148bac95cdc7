import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from samples import shifted

from acclimate import adapt
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import read_class_outputs
from acclimate.workflows import select_method
from acclimate.workflows.compare import cells

SMALL = {"steps": 12, "settings": {"train.batch_size": 16}}
FAST = {"method": "ensemble", **SMALL}
METHODS = ("shot", "nrc", "cdan")
TRIED = {"source_only", *METHODS}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Run whose method was chosen."""
    return adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path_factory.mktemp("auto") / "run", **FAST)


def test_the_recipe_tells_what_was_tried_and_what_predicts(run):
    tried = run.recipe.tried_methods
    assert tuple(tried) == METHODS
    assert [one.method for one in run.recipe.members] == [name for name, why in tried.items() if not why]


def test_the_models_of_all_methods_stay_in_the_run(run):
    found = [RunFolder(path).recipe.method for path in run.file("trials/cells").iterdir()]
    assert sorted(found) == sorted(TRIED)


def test_the_ensemble_predicts_the_mean_of_its_members(run):
    cells = [RunFolder(path) for path in run.file("trials/cells").iterdir()]
    members = {one.method for one in run.recipe.members}
    own = [one for one in cells if one.recipe.method in members]
    found = [read_class_outputs(one, 0, "adapted", "target").probabilities for one in own]
    assert np.allclose(np.mean(found, axis=0), read_class_outputs(run, 0, "adapted", "target").probabilities, atol=1e-6)


def test_the_ensemble_predicts_new_rows(run):
    x = shifted(shift=2, seed=1)[0]
    assert run.predict(x[:5]).height == 5


@pytest.mark.slow
def test_a_choice_that_was_interrupted_goes_on_with_the_methods_that_are_left(run, tmp_path, monkeypatch):
    trained, predict = [], cells.predict_cell

    def stop(folder, cell):
        trained.append(cell.recipe.method)
        if len(trained) == 3:
            raise KeyboardInterrupt
        predict(folder, cell)

    monkeypatch.setattr(cells, "predict_cell", stop)
    given = shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        adapt(*given, **FAST)
    again = adapt(*given, resume=True, **FAST)
    assert again.recipe == run.recipe
    assert trained[3:] == list(METHODS[1:])


def test_a_budget_that_is_spent_leaves_the_first_method(tmp_path):
    run = adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run", budget=0, **FAST)
    assert list(run.recipe.tried_methods) == [METHODS[0]]


def test_an_option_of_one_method_is_refused(tmp_path):
    with pytest.raises(BadInput, match="weight: an option of one method, and method ensemble has several"):
        adapt(shifted(), shifted()[0], tmp_path / "run", **FAST | {"settings": {"weight": 2}})
    assert not (tmp_path / "run").exists()


def test_another_method_cannot_resume(run):
    with pytest.raises(BadInput, match="method mcd, but the Run was made with ensemble"):
        adapt(shifted(), shifted(shift=2, seed=1)[0], run.path, resume=True, **FAST | {"method": "mcd"})


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A Run of the default method."""
    return adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path_factory.mktemp("auto") / "run", **SMALL)


def test_by_default_one_student_learns_what_the_methods_predict(student):
    assert student.recipe.method == "student"
    assert [one.method for one in student.recipe.members] == list(METHODS)
    assert student.predict(shifted()[0][:3]).height == 3


def test_the_teacher_is_the_mean_of_the_methods(student):
    cells = {folder.recipe.method: folder for folder in map(RunFolder, student.file("trials/cells").iterdir())}
    weights = load_file(cells["student"].weights(0, "teacher"))
    own = load_file(cells["nrc"].weights(0, "adapted"))
    assert all(torch.equal(weights[f"members.1.{name}"], value) for name, value in own.items())


def test_source_only_is_trained_as_the_first_method_wants_to_start(student):
    of_source = next(r for r in map(RunFolder, student.file("trials/cells").iterdir()) if len(r.recipe.phases) == 1)
    assert of_source.recipe.options == {"label_smoothing": 0.1}


def test_a_student_that_was_interrupted_comes_to_the_same_weights(student, tmp_path, monkeypatch):
    given, predict = (shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run"), cells.predict_cell

    def stop(folder, cell):
        if cell.recipe.method == "student":
            raise KeyboardInterrupt
        predict(folder, cell)

    monkeypatch.setattr(cells, "predict_cell", stop)
    with pytest.raises(KeyboardInterrupt):
        adapt(*given, **SMALL)
    monkeypatch.undo()
    again = load_file(adapt(*given, resume=True, **SMALL).weights(0, "adapted"))
    assert all(torch.equal(again[name], value) for name, value in load_file(student.weights(0, "adapted")).items())


def test_from_a_run_only_methods_are_tried_that_need_no_source(tmp_path):
    start = adapt(shifted(), shifted()[0], tmp_path / "start", **SMALL | {"method": "source_only"})
    run = adapt(start, shifted(shift=2, seed=1)[0], tmp_path / "run", **SMALL)
    assert list(run.recipe.tried_methods) == ["shot", "nrc", "student"]
    assert run.predict(shifted()[0][:3]).height == 3


@pytest.mark.parametrize("options", [{"settings": {"weight": 0.5}}, {"target_labels": shifted(n=8)}])
def test_what_does_not_suit_all_methods_trains_one(tmp_path, options):
    run = adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run", steps=4, **options)
    assert (run.recipe.method, run.recipe.tried_methods) == ("mcc", {})


def test_an_ensemble_does_not_resume_as_its_student(run):
    with pytest.raises(BadInput, match="method auto, but the Run was made with ensemble"):
        adapt(shifted(), shifted(shift=2, seed=1)[0], run.path, resume=True, **SMALL)


def test_the_report_tells_what_was_tried(student):
    page = student.file("report.html").read_text("utf-8")
    assert "shot, nrc, cdan, student" in page
    assert "a student of shot, nrc and cdan" in page


def test_discriminators_of_several_methods_are_narrow(run):
    assert {one.method: one.options for one in run.recipe.members if one.options} == {"cdan": {"widths": [256, 256]}}


@pytest.mark.parametrize("finetune", ["lp_ft", pytest.param("gradual", marks=pytest.mark.slow)])
def test_a_strategy_under_which_nothing_of_shot_moves_at_first_is_trained(tmp_path, finetune):
    given = shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run"
    run = adapt(*given, **SMALL | {"method": "shot", "finetune": finetune, "seeds": 2})
    before, after = (load_file(run.weights(0, phase)) for phase in ("source_only", "adapted"))
    assert not torch.equal(before["backbone.0.weight"], after["backbone.0.weight"])


def test_a_run_of_one_method_does_not_resume_as_the_default(tmp_path):
    given = shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run"
    adapt(*given, **SMALL | {"method": "mcc"})
    with pytest.raises(BadInput, match="method auto, but the Run was made with mcc"):
        adapt(*given, resume=True, **SMALL)


@pytest.mark.slow
def test_without_the_guard_a_student_that_a_gate_rejects_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(select_method, "_why_not", lambda store, one, reference: "bad" * (one.method == "student"))
    given = shifted(), shifted(shift=2, seed=1)[0]
    kept = [adapt(*given, tmp_path / str(no), no_guard=no, **SMALL).recipe.method for no in (True, False)]
    assert kept == ["student", "source_only"]
