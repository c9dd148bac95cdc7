import numpy as np
import pytest
from safetensors.torch import load_file
from samples import shifted

from acclimate import adapt
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.workflows import select_method
from acclimate.workflows.compare import cells

FAST = {"steps": 12, "settings": {"train.batch_size": 16}}
TRIED = {"source_only", *select_method.METHODS}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Run whose method was chosen."""
    return adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path_factory.mktemp("auto") / "run", **FAST)


def test_the_recipe_tells_the_rank_of_every_method_that_was_tried(run):
    ranks = run.recipe.chosen_from
    assert set(ranks) == TRIED
    assert ranks[run.recipe.method] == max(ranks.values())


def test_the_models_of_all_methods_stay_in_the_run(run):
    found = [RunFolder(path).recipe.method for path in run.file("trials/cells").iterdir()]
    assert sorted(found) == sorted(TRIED)


def test_its_weights_are_those_of_the_method_alone(run, tmp_path):
    alone = adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run", method=run.recipe.method, **FAST)
    for phase in run.recipe.phases:
        weights, same = (load_file(one.weights(0, phase)) for one in (run, alone))
        assert all(np.array_equal(weights[name], same[name]) for name in weights)


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
    assert trained[3:] == trained[2:3] + list(select_method.METHODS[2:])


def test_a_budget_that_is_spent_leaves_the_first_method(tmp_path):
    run = adapt(shifted(), shifted(shift=2, seed=1)[0], tmp_path / "run", budget=0, **FAST)
    assert set(run.recipe.chosen_from) == {"source_only", select_method.METHODS[0]}


def test_an_option_of_one_method_is_refused(tmp_path):
    with pytest.raises(BadInput, match="weight: an option of one method, and method auto tries several"):
        adapt(shifted(), shifted()[0], tmp_path / "run", settings={"weight": 2})
    assert not (tmp_path / "run").exists()


def test_another_method_cannot_resume(run):
    with pytest.raises(BadInput, match="method mcd, but the Run was made with auto"):
        adapt(shifted(), shifted(shift=2, seed=1)[0], run.path, method="mcd", resume=True, **FAST)
