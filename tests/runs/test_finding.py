import pytest

from acclimate.recipe import DomainSpec, Recipe, ScoredOn
from acclimate.run_folder import RunFolder
from acclimate.runs.finding import ensemble_finding, finding


def finding_of(tmp_path, before, after, *, method="mcc", why="", seeds=(0,), score=None):
    run = RunFolder(tmp_path)
    domains = {"source": DomainSpec(path="shop"), "target": DomainSpec(path="phone"), "score": score}
    recipe = Recipe(**domains, method=method, backbone="mlp")
    run.write("recipe.yaml", recipe.save)
    part = {"source_val": {"accuracy": 0.9}}
    scores = {**part, "source_only": dict(part), "adapted": dict(part), "why": why, "seeds": list(seeds)}
    if after is not None:
        scores["adapted"]["target"], scores["source_only"]["target"] = {"accuracy": after}, {"accuracy": before}
        scores["target"] = scores["source_only" if why else "adapted"]["target"]
    run.write_json("scores.json", scores)
    return finding(run)


@pytest.mark.parametrize(("after", "verb"), [(0.8, "raises"), (0.5, "lowers")])
def test_the_baseline_stands_next_to_the_result(tmp_path, after, verb):
    assert finding_of(tmp_path, 0.6, after).startswith(f"mcc {verb} accuracy on phone from 60.0% to {after:.1%}")


def test_what_was_scored_is_named_with_its_size(tmp_path):
    score = ScoredOn(path="labelled", n=1200, digest="0")
    assert "accuracy on labelled (1,200 examples) from 60.0%" in finding_of(tmp_path, 0.6, 0.8, score=score)
    alone = finding_of(tmp_path, 0.6, 0.6, method="source_only", score=score)
    assert alone.startswith("On labelled (1,200 examples), without adaptation")


def test_equal_percentages_are_no_change(tmp_path):
    assert finding_of(tmp_path, 0.6, 0.60001) == "mcc leaves accuracy on phone at 60.0% (one seed)."


def test_without_labels_no_accuracy_is_claimed(tmp_path):
    assert "has no score on phone, as no labels were given" in finding_of(tmp_path, None, None)


def test_it_says_the_number_of_seeds(tmp_path):
    assert "(one seed)" in finding_of(tmp_path, 0.6, 0.8)
    assert "(mean of 3 seeds)" in finding_of(tmp_path, 0.6, 0.8, seeds=(0, 1, 2))


def test_the_score_is_the_adapted_models_where_that_is_not_kept(tmp_path):
    assert "lowers accuracy on phone from 60.0% to 30.0%" in finding_of(tmp_path, 0.6, 0.3, why="it broke")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"seeds": [0]}, ""),
        ({}, "Predictions are the mean of the 2 seeds' source-only models (the ensemble)."),
        (
            {"ensemble": {"target": {"accuracy": 0.75}}},
            "Predictions are the mean of the 2 seeds' source-only models (the ensemble): accuracy is 75.0%.",
        ),
    ],
)
def test_several_seeds_predict_together(more, told):
    assert ensemble_finding({"kept": "source_only", "seeds": [0, 1], **more}) == told


def test_it_says_why_a_model_is_not_kept(tmp_path):
    assert finding_of(tmp_path, 0.6, 0.3, why="it broke").endswith("The adapted model is not kept: it broke.")
    assert finding_of(tmp_path, None, None, why="it broke").endswith("The adapted model is not kept: it broke.")


def finding_of_regression(tmp_path, before, after, method="dann"):
    run = RunFolder(tmp_path)
    domains = {"source": DomainSpec(path="shop"), "target": DomainSpec(path="phone")}
    run.write("recipe.yaml", Recipe(**domains, method=method, backbone="mlp", task="regression").save)
    part = {"source_val": {"mae": 1.0, "rmse": 2.0, "r2": 0.9}}
    scores = {**part, "source_only": dict(part), "adapted": dict(part), "why": "", "seeds": [0]}
    if after is not None:
        scores["adapted"]["target"], scores["source_only"]["target"] = (
            {"mae": mae, "rmse": 2 * mae, "r2": 0.5} for mae in (after, before)
        )
        scores["target"] = scores["adapted"]["target"]
    run.write_json("scores.json", scores)
    return finding(run)


def test_a_regression_gets_its_errors(tmp_path):
    assert finding_of_regression(tmp_path, 1234.5, 1000.0) == (
        "dann lowers the mean absolute error on phone from 1,234 to 1,000 (RMSE 2,469 to 2,000) (one seed)."
    )


def test_a_regression_without_adaptation_gets_its_baseline(tmp_path):
    text = finding_of_regression(tmp_path, 1.5, 1.5, "source_only")
    assert text == "On phone, without adaptation, the mean absolute error is 1.5 (RMSE 3, R² 0.500) (one seed)."


def test_equal_errors_are_no_change(tmp_path):
    assert "leaves the mean absolute error on phone at 1.5 (RMSE 3 to 3)" in finding_of_regression(tmp_path, 1.5, 1.5)


def test_a_regression_without_labels_claims_no_error(tmp_path):
    text = finding_of_regression(tmp_path, None, None)
    assert "reaches an R² of 0.900 on held-out examples of shop" in text
    assert "has no score on phone, as no labels were given" in text
