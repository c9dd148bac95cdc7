import pytest

from acclimate.recipe import DomainSpec, Recipe
from acclimate.run_folder import RunFolder
from acclimate.runs.finding import finding


def told(tmp_path, before, after, *, method="mcc", why="", seeds=(0,)):
    run = RunFolder(tmp_path)
    recipe = Recipe(source=DomainSpec(path="here"), target=DomainSpec(path="there"), method=method, backbone="mlp")
    run.write("recipe.yaml", recipe.save)
    part = {"source_val": {"accuracy": 0.9}}
    scores = {**part, "source_only": dict(part), "why": why, "seeds": list(seeds)}
    if after is not None:
        scores["target"], scores["source_only"]["target"] = {"accuracy": after}, {"accuracy": before}
    run.write_json("scores.json", scores)
    return finding(run)


@pytest.mark.parametrize(("after", "verb"), [(0.8, "raises"), (0.5, "lowers")])
def test_the_baseline_stands_beside_the_result(tmp_path, after, verb):
    assert told(tmp_path, 0.6, after).startswith(f"mcc {verb} accuracy on there from 60.0% to {after:.1%}")


def test_what_looks_the_same_is_left_as_it_is(tmp_path):
    assert told(tmp_path, 0.6, 0.60001) == "mcc leaves accuracy on there at 60.0% (one seed)."


def test_without_labels_no_accuracy_is_claimed(tmp_path):
    assert "was not scored: no labels given" in told(tmp_path, None, None)


def test_how_many_seeds_there_were_is_told(tmp_path):
    assert "(one seed)" in told(tmp_path, 0.6, 0.8)
    assert "(mean of 3 seeds)" in told(tmp_path, 0.6, 0.8, seeds=(0, 1, 2))


def test_a_model_that_is_not_kept_is_told_with_the_reason(tmp_path):
    assert told(tmp_path, 0.6, 0.3, why="it broke").endswith("It is not kept: it broke.")
    assert told(tmp_path, None, None, why="it broke").endswith("It is not kept: it broke.")


def told_of_numbers(tmp_path, before, after, method="dann"):
    run = RunFolder(tmp_path)
    place = {"source": DomainSpec(path="here"), "target": DomainSpec(path="there")}
    run.write("recipe.yaml", Recipe(**place, method=method, backbone="mlp", task="regression").save)
    part = {"source_val": {"mae": 1.0, "rmse": 2.0, "r2": 0.9}}
    scores = {**part, "source_only": dict(part), "why": "", "seeds": [0]}
    if after is not None:
        scores["target"], scores["source_only"]["target"] = (
            {"mae": mae, "rmse": 2 * mae, "r2": 0.5} for mae in (after, before)
        )
    run.write_json("scores.json", scores)
    return finding(run)


def test_of_numbers_the_errors_are_told(tmp_path):
    assert told_of_numbers(tmp_path, 1234.5, 1000.0) == (
        "dann lowers the mean absolute error on there from 1,234 to 1,000 (RMSE 2,469 to 2,000) (one seed)."
    )


def test_of_numbers_the_baseline_alone_is_told(tmp_path):
    said = told_of_numbers(tmp_path, 1.5, 1.5, "source_only")
    assert said == "On there the mean absolute error is 1.5 (RMSE 3, R² 0.500) without adaptation (one seed)."


def test_an_error_that_looks_the_same_is_left_as_it_is(tmp_path):
    assert "leaves the mean absolute error on there at 1.5 (RMSE 3 to 3)" in told_of_numbers(tmp_path, 1.5, 1.5)


def test_of_numbers_without_labels_no_error_is_claimed(tmp_path):
    said = told_of_numbers(tmp_path, None, None)
    assert "with an R² of 0.900 on held-out source" in said
    assert "was not scored: no labels given" in said
