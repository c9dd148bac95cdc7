import numpy as np
import pytest
from samples import shifted

from acclimate import adapt
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.runs.outputs import read_class_outputs
from acclimate.workflows import select_method
from acclimate.workflows.compare import cells

FAST = {"method": "ensemble", "steps": 12, "settings": {"train.batch_size": 16}}
TRIED = {"source_only", *select_method.METHODS}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Run whose method was chosen."""
    return adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path_factory.mktemp("auto") / "run", **FAST)


def test_the_recipe_tells_what_was_tried_and_what_predicts(run):
    tried = run.recipe.tried_methods
    assert tuple(tried) == select_method.METHODS
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
    assert trained[3:] == list(select_method.METHODS[1:])


def test_a_budget_that_is_spent_leaves_the_first_method(tmp_path):
    run = adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run", budget=0, **FAST)
    assert list(run.recipe.tried_methods) == [select_method.METHODS[0]]


def test_an_option_of_one_method_is_refused(tmp_path):
    with pytest.raises(BadInput, match="weight: an option of one method, and method ensemble has several"):
        adapt(shifted(), shifted()[0], tmp_path / "run", **FAST | {"settings": {"weight": 2}})
    assert not (tmp_path / "run").exists()


def test_another_method_cannot_resume(run):
    with pytest.raises(BadInput, match="method mcd, but the Run was made with ensemble"):
        adapt(shifted(), shifted(shift=2, seed=1)[0], run.path, resume=True, **FAST | {"method": "mcd"})
