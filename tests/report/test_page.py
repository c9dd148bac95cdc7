"""What the page says."""

import json
import re

import pytest
from pages import words

from acclimate.errors import BadInput
from acclimate.report import write_report
from acclimate.report.page import short_path


def test_adapt_leaves_a_report(scored):
    assert scored.file("report.html").read_text("utf-8").lstrip().startswith("<!doctype html>")


def test_it_opens_with_a_short_headline_and_its_details(scored):
    from acclimate.runs.finding import headline

    found = headline(scored.scores, scored.recipe)
    assert f"{found.text} {found.details}" in words(scored)
    assert len(found.text) < 80


def test_the_reason_stands_once(scored, copy):
    run = copy(scored)
    run.write_json("scores.json", {**scored.scores, "kept": "source_only", "why": "it <broke>"})
    write_report(run)
    assert words(run).count("it <broke>") == 1


def test_the_verdict_names_the_next_step(unscored):
    said = words(unscored)
    assert "Label about 100 examples of the target" in said
    assert "acclimate audit RUN TARGET --ask 100 -o to_label.csv" in said


def test_the_sizes_of_all_sets_are_told(scored):
    assert re.search(
        r"source, to learn from \d+ source, held out \d+ target, without labels 36 target, labels to score on 36",
        words(scored),
    )


def test_images_of_both_domains_stand_side_by_side(scored):
    text = scored.file("report.html").read_text("utf-8")
    assert text.count('alt="an example of the source"') == scored.scores["source_val"]["n"]
    assert text.count('alt="an example of the target"') == 12


def test_words_that_moved_are_told(unscored, copy):
    run = copy(unscored)
    word = {"kind": "word", "name": "<b>film", "value": "", "source": 0.1, "target": 0.5, "effect": 0.9}
    run.write_json("data.json", {"sizes": {}, "moved": [word]})
    write_report(run)
    assert "“<b>film” 10.0% 50.0% +0.90" in words(run)


def test_without_what_is_known_of_the_data_it_is_still_drawn(scored, copy):
    run = copy(scored)
    run.file("data.json").unlink()
    write_report(run)
    assert "target, without labels 36" in words(run)


def test_a_damaged_summary_of_the_data_is_told(scored, copy):
    run = copy(scored)
    run.write_json("data.json", {"sizes": {}, "moved": [{"kind": "mean", "effect": "much"}]})
    with pytest.raises(BadInput, match=r"data\.json: moved\.0\.name is missing"):
        write_report(run)


def test_the_command_is_shown(scored):
    assert "acclimate.adapt(source, target, " in words(scored)


def test_mistakes_and_uncertain_predictions_are_shown(scored, unscored):
    assert "Least certain predictions" in words(scored)
    assert "Least certain predictions" in words(unscored)
    assert "Most confident mistakes" not in words(unscored)


def test_a_loss_is_explained(scored):
    assert re.search(r"At \d+ % of chance, the discriminator", words(scored))


def test_calibration_is_told_for_both_models(scored):
    assert re.search(r"ECE\) is 0\.\d{3} for the source-only model and 0\.\d{3} for the adapted model", words(scored))


def test_three_numbers_when_scored(scored):
    said = words(scored)
    for heading in "Source, validation", "Target, source-only", "Target, adapted":
        assert re.search(rf"{heading} (\S+ points )?.*?\d+\.\d % ±", said)


def test_every_measure_is_told_with_its_spread_and_with_views(scored):
    said = words(scored)
    for measure in "Accuracy", "F1, mean over classes", "Log loss", "AUC, each class against the rest":
        assert re.search(rf"{re.escape(measure)}(( \d+\.\d+( %)? ± \d+\.\d+( %)?){{2}} \d+\.\d+( %)?){{2}}", said)
    assert "averages the predictions for the example and its views hflip" in said


def test_augmented_images_are_shown_below_plain_ones(scored):
    said, text = words(scored), scored.file("report.html").read_text("utf-8")
    assert "Augmentation trivial of the source, trivial of the target" in said
    assert "Examples, each above a version that training may have used" in said
    assert text.count('alt="the example, augmented"') == 16


def test_the_rung_is_told_and_why(scored, copy):
    run = copy(scored)
    tried = {"tried": {"feature_extraction": 0.5, "partial": 0.25}, "finetune": "partial"}
    run.write("recipe.yaml", scored.recipe.model_copy(update=tried).save)
    write_report(run)
    assert (
        "Fine-tuning partial, selected on validation examples of the source (feature_extraction 0.500, partial 0.250)"
        in words(run)
    )


def test_without_augmentation_there_is_no_strip(unscored):
    assert "that training may have used" not in words(unscored)


def test_a_run_from_before_there_was_an_auc_is_still_drawn(scored, copy):
    run, old = copy(scored), scored.scores
    del old["ensemble"]
    del old["change"]
    for part in (old, old["source_only"], old["adapted"]):
        part["source_val"] = {name: value for name, value in part["source_val"].items() if name != "n"}
        part["target"] = {name: part["target"][name] for name in ("accuracy", "f1", "log_loss")}
        del part["target_tta"]
    del old["tta"], old["positive"]
    run.write_json("scores.json", old)
    write_report(run)
    assert "Log loss" in words(run)
    assert "AUC" not in words(run)


def test_means_over_seeds_are_called_so(scored):
    assert "Scores are means over 2 seeds" in words(scored)


def test_without_labels_it_says_not_scored(unscored):
    assert words(unscored).count("not scored no labels given") == 2


def test_the_estimate_comes_with_what_it_rests_on(unscored, copy):
    run, adapted = copy(unscored), unscored.scores["adapted"]
    estimate = {"accuracy": 0.7, "low": 0.6, "high": 0.8, "how": "combined by hand", "labels": 57}
    run.write_json("scores.json", {**unscored.scores, "adapted": {**adapted, "target_estimate": estimate}})
    write_report(run)
    assert "Adapted: combined by hand; about 57 random labels tell as much." in words(run)


def test_an_estimate_that_is_unknown_says_why_and_how_many_labels_settle_it(unscored):
    why = unscored.scores["source_only"]["target_estimate"]
    assert f"Source-only: unknown, as {why['unknown']}; about {why['labels']} random labels settle it" in words(
        unscored
    )


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(0.6, 0.8, "60.0% to 80.0%"), (0.2, 1.0, "unknown (anything from 20.0% to 100.0%)")]
)
def test_the_estimate_is_a_range_and_never_one_number(unscored, copy, low, high, shown):
    run = copy(unscored)
    adapted = unscored.scores["adapted"]
    estimate = {"accuracy": 0.7654, "low": low, "high": high, "how": "by hand"}
    run.write_json("scores.json", {**unscored.scores, "adapted": {**adapted, "target_estimate": estimate}})
    write_report(run)
    assert f"Estimate without labels {shown}" in words(run)
    assert "76.5%" not in words(run)


def test_a_model_that_was_not_kept_is_said_plainly(scored, copy):
    run = copy(scored)
    run.write_json("scores.json", {**scored.scores, "kept": "source_only", "why": "it <broke>"})
    write_report(run)
    assert "The adapted model was not kept: it <broke>." in words(run)


def test_the_adapted_card_is_of_the_adapted_model_though_it_is_not_kept(scored, copy):
    run, scores = copy(scored), scored.scores
    adapted = {**scores["adapted"], "target": {**scores["adapted"]["target"], "accuracy": 0.125}}
    before = {**scores["source_only"], "kept": "source_only", "why": "it broke"}
    run.write_json("scores.json", {**scores, **before, "adapted": adapted})
    write_report(run)
    assert re.search(r"Target, adapted .{,60}?12\.5 %", words(run))


@pytest.mark.parametrize(
    ("low", "label", "style"), [(0.01, "Change +1.0", ""), (-0.01, "No clear change −1.0", "unclear")]
)
def test_the_change_is_as_sure_as_its_interval(scored, copy, low, label, style):
    run = copy(scored)
    change = {**scored.scores["change"], "difference": 0.1, "low": low, "high": 0.2}
    run.write_json("scores.json", {**scored.scores, "change": change})
    write_report(run)
    assert f"{label} to +20.0 points" in words(run)
    assert re.search(rf'class="gain *{style} *">\+10.0 points', run.file("report.html").read_text("utf-8"))


def test_few_examples_give_a_range(scored):
    n = scored.scores["source_val"]["n"]
    assert re.search(rf"95% interval, {n} examples \d+–\d+%", words(scored))


def test_the_ensemble_is_told(scored):
    from acclimate.runs.finding import ensemble_finding

    assert re.search(r"models; on the target, accuracy is \d", ensemble_finding(scored.scores))
    assert ensemble_finding(scored.scores) in words(scored)


def test_no_why_no_warning(scored):
    assert "was not kept" not in words(scored)


def test_the_baseline_alone_is_shown_alone(baseline):
    said = words(baseline)
    assert "Target, source-only" in said
    assert "Target, adapted" not in said
    assert "Differences between the models" not in said


def test_recall_and_confusion_only_when_scored(scored, unscored):
    assert "Confusion matrices" in words(scored)
    assert "Confusion matrices" not in words(unscored)


def test_the_two_models_are_compared_example_by_example(scored):
    assert re.search(r"The models disagree on \d+ of 36 target examples", words(scored))


def test_recipe_versions_seeds_and_time(scored):
    said = words(scored)
    for fact in "Method dann", "Seeds 0, 1", "Steps 3 of 64", f"torch {scored.environment['versions']['torch']}":
        assert fact in said
    assert re.search(r"Time (\d+ min )?\d+ s", said)


@pytest.mark.parametrize("name", ["scored", "unscored"])
def test_nothing_from_the_data_is_markup(name, request):
    text = request.getfixturevalue(name).file("report.html").read_text("utf-8")
    for bite in "<script>alert(1)", "<img src=x", "</script><!--", "<b>book":
        assert bite not in text


def test_the_data_in_the_page_is_json(scored):
    text = scored.file("report.html").read_text("utf-8")
    page = json.loads(text.split('id="page">')[1].split("</script>")[0])
    assert len(page["points"]) > 36
    assert "map adapted" in page["figures"]


def test_drawn_again_it_is_the_same(scored, copy):
    run = copy(scored)
    before = run.file("report.html").read_bytes()
    assert write_report(run).read_bytes() == before


def test_the_page_outlives_the_data(unscored, copy):
    run = copy(unscored)
    run.file("recipe.yaml").write_text(run.file("recipe.yaml").read_text("utf-8").replace(".csv", ".gone"), "utf-8")
    assert "a fine" in write_report(run).read_text("utf-8")


def test_without_snippets_it_is_still_drawn(unscored, copy):
    run = copy(unscored)
    for kept in run.file("outputs").glob("snippets-*"):
        kept.unlink()
    assert "a fine" not in write_report(run).read_text("utf-8")


def test_without_losses_it_is_still_drawn(unscored, copy):
    run = copy(unscored)
    run.file("losses.jsonl").unlink()
    write_report(run)
    assert "loss, by step" not in words(run)


def test_a_torn_output_is_told(unscored, copy):
    run = copy(unscored)
    run.outputs(0, "adapted", "target").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match=r"changed or damaged: outputs/target-adapted-0\.parquet: "):
        write_report(run)


def test_lost_outputs_are_told(unscored, copy):
    run = copy(unscored)
    for file in run.file("outputs").iterdir():
        file.unlink()
    with pytest.raises(BadInput, match="changed or damaged: outputs: nothing is left"):
        write_report(run)


def test_a_short_path_is_left_alone():
    assert short_path("demo/source") == "demo/source"


def test_a_long_part_of_a_path_is_shortened_in_its_middle():
    assert short_path(f"/data/begin{'x' * 200}end.csv#site=va") == f"data/begin{'x' * 15}…{'x' * 12}end.csv#site=va"
