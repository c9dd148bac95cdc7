import pytest

from acclimate.recipe import DomainSpec, Recipe, ScoredOn
from acclimate.run_folder import RunFolder
from acclimate.runs.finding import ensemble_finding, finding


def finding_of(
    tmp_path, before, after, *, method="mcc", why="", seeds=(0,), n=None, change=None, held_out=None, score=None
):
    run = RunFolder(tmp_path)
    domains = {"source": DomainSpec(path="shop"), "target": DomainSpec(path="phone"), "score": score}
    recipe = Recipe(**domains, method=method, backbone="mlp")
    run.write("recipe.yaml", recipe.save)
    part = {"source_val": held_out or {"accuracy": 0.9}}
    scores = {**part, "source_only": dict(part), "adapted": dict(part), "why": why, "seeds": list(seeds)}
    if after is not None:
        scores["adapted"]["target"], scores["source_only"]["target"] = (
            {"accuracy": accuracy, **({"n": n} if n else {})} for accuracy in (after, before)
        )
        scores["target"] = scores["source_only" if why else "adapted"]["target"]
    run.write_json("scores.json", scores | ({"change": change} if change else {}))
    return finding(run)


CLEAR = {"measure": "accuracy", "difference": 0.2, "low": 0.151, "high": 0.248, "n": 600, "seeds": 1}
UNCLEAR = {**CLEAR, "difference": 0.013, "low": -0.011, "high": 0.038}


def test_what_was_scored_is_named_with_its_size(tmp_path):
    score = ScoredOn(path="labelled", n=1200, digest="0")
    assert "accuracy on labelled goes from 60.0%" in finding_of(tmp_path, 0.6, 0.8, score=score)
    alone = finding_of(tmp_path, 0.6, 0.6, n=1200, method="source_only", score=score)
    assert alone.startswith("On labelled, without adaptation, accuracy is 60.0% (n = 1,200")


def test_a_clear_change_has_its_interval_and_the_number_of_examples(tmp_path):
    assert finding_of(tmp_path, 0.6, 0.8, n=600, change=CLEAR) == (
        "mcc raises accuracy on phone from 60.0% to 80.0% "
        "(+20.0 points, 95% interval +15.1 to +24.8; n = 600, one seed)."
    )


def test_a_clear_fall_is_called_so(tmp_path):
    fell = {**CLEAR, "difference": -0.1, "low": -0.141, "high": -0.062}
    text = finding_of(tmp_path, 0.6, 0.5, n=600, change=fell)
    assert "mcc lowers accuracy on phone from 60.0% to 50.0% (−10.0 points, 95% interval −14.1 to −6.2; n" in text


def test_an_interval_that_contains_zero_is_no_clear_change(tmp_path):
    assert finding_of(tmp_path, 0.804, 0.817, n=264, change=UNCLEAR, seeds=(0, 1)) == (
        "No clear change: with mcc, accuracy on phone goes from 80.4% to 81.7% "
        "(95% interval −1.1 to +3.8 points; n = 264, mean of 2 seeds)."
    )


def test_a_change_that_no_figure_shows_is_not_clear(tmp_path):
    tiny = {**CLEAR, "difference": 0.0001, "low": 0.00001, "high": 0.0002}
    assert finding_of(tmp_path, 0.6, 0.6001, n=10**7, change=tiny).startswith(
        "No clear change: with mcc, accuracy on phone stays at 60.0% (95% interval 0.0 to 0.0 points; n = 10,000,000"
    )


def test_an_old_run_claims_no_more_than_it_knows(tmp_path):
    assert finding_of(tmp_path, 0.6, 0.8) == "With mcc, accuracy on phone goes from 60.0% to 80.0% (one seed)."


def test_few_held_out_examples_give_a_range(tmp_path):
    text = finding_of(tmp_path, None, None, held_out={"accuracy": 0.93, "n": 14})
    assert "The source-only model reaches 93.0% (69–99%) accuracy on 14 held-out examples of shop" in text


def test_many_held_out_examples_give_their_number(tmp_path):
    text = finding_of(tmp_path, None, None, held_out={"accuracy": 0.93, "n": 1400})
    assert "reaches 93.0% accuracy on 1,400 held-out examples of shop" in text


def test_without_labels_no_accuracy_is_claimed(tmp_path):
    assert "has no score on phone, as no labels to score on were given" in finding_of(tmp_path, None, None)


def test_it_says_the_number_of_seeds(tmp_path):
    assert "(one seed)" in finding_of(tmp_path, 0.6, 0.8)
    assert "(mean of 3 seeds)" in finding_of(tmp_path, 0.6, 0.8, seeds=(0, 1, 2))


def test_the_score_is_the_adapted_models_where_that_is_not_kept(tmp_path):
    assert "accuracy on phone goes from 60.0% to 30.0%" in finding_of(tmp_path, 0.6, 0.3, why="it broke")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"seeds": [0]}, ""),
        ({}, "The ensemble predicts: the mean of the 2 seeds' source-only models."),
        (
            {"ensemble": {"target": {"accuracy": 0.75, "n": 600}}},
            "The ensemble predicts: the mean of the 2 seeds' source-only models; "
            "on the target, accuracy is 75.0% (n = 600).",
        ),
    ],
)
def test_several_seeds_predict_together(more, told):
    assert ensemble_finding({"kept": "source_only", "seeds": [0, 1], **more}) == told


def test_it_says_why_a_model_is_not_kept(tmp_path):
    assert finding_of(tmp_path, 0.6, 0.3, why="it broke").endswith("The adapted model is not kept: it broke.")
    assert finding_of(tmp_path, None, None, why="it broke").endswith("The adapted model is not kept: it broke.")


FEWER = {"measure": "mae", "difference": -234.5, "low": -300.2, "high": -170.06, "n": 60, "seeds": 1}


def finding_of_regression(tmp_path, before, after, *, method="dann", r2=0.5, change=FEWER):
    run = RunFolder(tmp_path)
    domains = {"source": DomainSpec(path="shop"), "target": DomainSpec(path="phone")}
    run.write("recipe.yaml", Recipe(**domains, method=method, backbone="mlp", task="regression").save)
    part = {"source_val": {"mae": 1.0, "rmse": 2.0, "r2": 0.9, "n": 14}}
    scores = {**part, "source_only": dict(part), "adapted": dict(part), "why": "", "seeds": [0], "change": change}
    if after is not None:
        scores["adapted"]["target"], scores["source_only"]["target"] = (
            {"mae": mae, "rmse": 2 * mae, "r2": r2, "n": 60} for mae in (after, before)
        )
        scores["target"] = scores["adapted"]["target"]
    run.write_json("scores.json", scores)
    return finding(run)


def test_a_regression_gets_its_errors(tmp_path):
    assert finding_of_regression(tmp_path, 1234.5, 1000.0) == (
        "dann lowers the mean absolute error on phone from 1,234 to 1,000 "
        "(−234, 95% interval −300 to −170; RMSE 2,469 to 2,000; n = 60, one seed)."
    )


def test_a_larger_error_is_called_so(tmp_path):
    more = {**FEWER, "difference": 0.5, "low": 0.2, "high": 0.8}
    text = finding_of_regression(tmp_path, 1.5, 2.0, change=more)
    assert "dann raises the mean absolute error on phone from 1.5 to 2 (+0.500, 95% interval +0.200 to +0.800;" in text


def test_an_error_that_may_be_the_same_is_no_clear_change(tmp_path):
    text = finding_of_regression(tmp_path, 1.5, 1.4, change={**FEWER, "difference": -0.1, "low": -0.3, "high": 0.1})
    assert text.startswith("No clear change: with dann, the mean absolute error on phone goes from 1.5 to 1.4 (95% in")


@pytest.mark.parametrize("method", ["dann", "source_only"])
def test_worse_than_the_mean_is_said(tmp_path, method):
    text = finding_of_regression(tmp_path, 1234.5, 1000.0, method=method, r2=-0.16)
    assert text.endswith(" Worse than always predicting the mean (R² −0.160).")


def test_a_regression_without_adaptation_gets_its_baseline(tmp_path):
    text = finding_of_regression(tmp_path, 1.5, 1.5, method="source_only")
    assert text == "On phone, without adaptation, the mean absolute error is 1.5 (RMSE 3, R² 0.500; n = 60, one seed)."


def test_a_regression_without_labels_claims_no_error(tmp_path):
    text = finding_of_regression(tmp_path, None, None)
    assert "reaches an R² of 0.900 on 14 held-out examples of shop" in text
    assert "has no score on phone, as no labels to score on were given" in text
