import contextlib
import functools
import itertools
import json
import re
import shutil

import numpy as np
import polars as pl
import pytest
import samples
import scipy.sparse
import torch
from safetensors.torch import load_file
from samples import shifted

import acclimate as package
from acclimate import methods
from acclimate.data.digests import digest
from acclimate.data.loaders import split
from acclimate.errors import BadInput
from acclimate.runs.finding import finding
from acclimate.runs.run import Run


def adapted(folder, **options):
    given = {"method": "mcc", "steps": 5, "score": shifted(shift=2, seed=1)}
    return package.adapt(shifted(), shifted(shift=2, seed=1)[0], folder / "run", **{**given, **options})


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory):
    """Gives a Run by its options, made once for all tests that only read it."""
    return functools.cache(lambda **options: adapted(tmp_path_factory.mktemp("shared"), **options))


def test_a_run_has_the_parts_of_the_contract(shared_run):
    run = shared_run()
    parts = {"recipe.yaml", "model.safetensors", "preprocess", "losses.jsonl", "outputs", "scores.json", "report.html"}
    assert parts | {"environment.json"} <= {p.name for p in run.path.iterdir()}
    assert set(run.scores["source_only"]) == {"source_val", "target_estimate", "target"}
    assert set(run.scores["target_estimate"]) == {"unknown", "labels"}


def test_the_model_that_is_kept_is_that_of_its_phase(shared_run):
    run = shared_run()
    other = {"adapted": "source_only", "source_only": "adapted"}[run.scores["kept"]]
    model = run.file("model.safetensors").read_bytes()
    assert model == run.weights(0, run.scores["kept"]).read_bytes()
    assert model != run.weights(0, other).read_bytes()


def test_what_is_scored_is_named_with_its_size_and_its_content(tmp_path):
    score = samples.arrays(tmp_path / "labelled.npz", n=30, seed=5)
    run = package.adapt(shifted(), shifted(shift=2)[0], tmp_path / "run", method="mcc", steps=2, score=score)
    on = run.recipe.score
    assert on.model_dump() == {"path": str(score), "n": 30, "digest": digest(package.load(score))}
    assert f"accuracy on {score} " in finding(run)
    assert "n = 30" in finding(run)
    report = re.sub("<wbr>|<[^>]*>", "", run.file("report.html").read_text("utf-8"))
    assert f"{score.parent.name}/{score.name}, 30 examples, content {on.digest}" in report
    assert "on 30 examples of" in report


def test_a_run_that_is_continued_may_be_scored_on_something_else(tmp_path):
    x, y = shifted(shift=2, seed=1)
    assert adapted(tmp_path, score=None).recipe.score is None
    run = adapted(tmp_path, score=(x[:50], y[:50]), resume=True)
    assert run.recipe.score.n == 50
    assert Run.open(run.path).recipe == run.recipe
    assert "accuracy on score " in finding(run)


def test_without_score_no_accuracy_on_the_target_is_told(tmp_path):
    run = adapted(tmp_path, score=None)
    assert "target" not in run.scores
    assert "label" not in pl.read_parquet(run.outputs(0, "adapted", "target")).columns


def test_labels_of_the_target_change_nothing(tmp_path):
    x, y = shifted(shift=2, seed=1)
    runs = []
    for name, labels in (("right", y), ("wrong", 1 - y)):
        labelled = package.adapt(shifted(), (x, labels), tmp_path / name, method="dann", steps=5)
        runs.append((labelled.path / "model.safetensors").read_bytes())
    assert runs[0] == runs[1]


def test_the_same_recipe_gives_the_same_weights(tmp_path, shared_run):
    first, second = shared_run(), adapted(tmp_path)
    for phase in first.recipe.phases:
        assert first.weights(0, phase).read_bytes() == second.weights(0, phase).read_bytes()


@pytest.mark.parametrize("method", ["shot", pytest.param("nrc", marks=pytest.mark.slow)])
def test_a_source_free_method_starts_from_the_source_only_weights(shared_run, method):
    run = shared_run(method=method, steps=3)
    before, after = (load_file(run.weights(0, phase)) for phase in ("source_only", "adapted"))
    assert torch.equal(before["head.weight"], after["head.weight"]) == (method == "shot")  # it keeps its head
    assert not torch.equal(before["backbone.0.weight"], after["backbone.0.weight"])
    torch.testing.assert_close(before["backbone.0.weight"], after["backbone.0.weight"], rtol=0, atol=0.02)


def test_a_source_free_method_starts_from_smoothed_labels(tmp_path, shared_run):
    run = shared_run(method="shot", steps=3)
    alone = adapted(tmp_path, method="source_only", steps=3, settings={"label_smoothing": 0.1})
    assert run.weights(0, "source_only").read_bytes() == alone.weights(0, "source_only").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("method", methods.names())
def test_no_number_for_an_option_ends_in_a_traceback(tmp_path, method):
    numbers = [n for n, p in methods.options(method).items() if type(p.default) in (int, float)]
    labels = {"target_labels": shifted(shift=2)} if method == "supervised" else {}
    for name, value in itertools.product(numbers, (-1, 0)):
        with contextlib.suppress(BadInput):
            adapted(tmp_path / f"{name} {value}", method=method, steps=2, settings={name: value}, **labels)


@pytest.fixture(scope="module")
def source_free(tmp_path_factory):
    """Gives, by the method, a Run and one that started from it, whose source is no more."""

    def made(method="shot"):
        folder = tmp_path_factory.mktemp("source_free")
        samples.arrays(folder / "source.npz", n=60)
        samples.arrays(folder / "target.npz", seed=1, n=60)
        given = {"method": method, "steps": 5}
        before = package.adapt(folder / "source.npz", folder / "target.npz", folder / "before", **given)
        (folder / "source.npz").unlink()
        given["score"] = folder / "target.npz"
        return before, package.adapt(folder / "before", folder / "target.npz", folder / "after", **given)

    return functools.cache(made)


@pytest.mark.parametrize("method", ["shot", pytest.param("nrc", marks=pytest.mark.slow)])
def test_from_a_run_a_source_free_method_gives_what_it_gives_from_the_source(method, source_free):
    before, after = source_free(method)
    for phase in ("source_only", "adapted"):
        assert after.weights(0, phase).read_bytes() == before.weights(0, phase).read_bytes()


def test_what_started_from_a_run_has_no_score_of_its_own_on_the_source(source_free):
    before, after = source_free("shot")
    assert after.scores["adapted"]["source_val"] is None
    assert after.scores["source_only"]["source_val"] == before.scores["source_only"]["source_val"]
    assert after.scores["target"].keys() == before.scores["source_val"].keys()


def test_label_shift_needs_a_model_that_met_the_source(tmp_path, source_free):
    _, run = source_free("shot")
    copy = Run.open(shutil.copytree(run.path, tmp_path / "copy"))
    copy.write_json("scores.json", {**run.scores, "kept": "adapted"})
    target = run.path.parent / "target.npz"
    with pytest.raises(BadInput, match="label_shift: needs held-out examples"):
        copy.label_shift(copy.predict(target), "em")


def test_a_shallow_method_leaves_a_run_like_any_other(tmp_path):
    run = adapted(tmp_path, method="coral", steps=None)
    assert {p.name for p in (tmp_path / "run/models").iterdir()} == {"source_only-0.skops", "adapted-0.skops"}
    assert (tmp_path / "run/model.skops").is_file()
    assert set(run.scores["source_only"]) == {"source_val", "target_estimate", "target"}
    assert run.predict(shifted(shift=2, seed=1)[0])["class"].is_not_null().all()
    assert run.label_shift(run.predict(shifted(shift=2, seed=1)[0]), "em").shares.sum() == pytest.approx(1)


def test_a_linear_run_is_nothing_that_a_network_goes_on_from(tmp_path):
    run = adapted(tmp_path, method="source_only", backbone="linear", steps=None)
    with pytest.raises(BadInput, match="its model is linear"):
        package.adapt(run, shifted()[0], method="shot")
    with pytest.raises(BadInput, match="test_time: lame adapts a network"):
        run.predict(shifted()[0], test_time="lame")


def test_a_shallow_method_learns_numbers(tmp_path):
    x, _ = shifted()
    amounts = x[:, 0] * 3.5 + 100
    run = package.adapt((x, amounts), x + 1, tmp_path / "run", method="coral", score=(x + 1, amounts))
    assert run.scores["source_val"]["r2"] > 0.9
    assert run.predict(x + 1)["prediction"].mean() == pytest.approx(amounts.mean(), abs=1)


def test_seeds_are_plural(tmp_path):
    run = adapted(tmp_path, seeds=[2, 0])
    assert run.scores["seeds"] == [2, 0]
    assert "accuracy_sd" in run.scores["target"]
    assert {line["seed"] for line in run.losses()} == {0, 2}
    assert run.weights(0, "adapted").read_bytes() != run.weights(2, "adapted").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mcc", "shot"])
def test_each_of_several_seeds_is_what_it_is_alone(tmp_path, method):
    several = adapted(tmp_path / "several", method=method, seeds=[0, 1])
    alone = adapted(tmp_path / "alone", method=method, seeds=[1])
    for phase in "source_only", "adapted":
        ours, theirs = (load_file(run.weights(1, phase)) for run in (several, alone))
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_supervised_trains_on_labels_given_on_purpose(tmp_path):
    x, y = shifted(shift=2, seed=2)
    run = adapted(tmp_path, method="supervised", target_labels=(x, 1 - y), steps=100, settings={"train.lr": 0.02})
    assert run.scores["adapted"]["target"]["accuracy"] < 0.2
    assert run.scores["source_only"]["target"]["accuracy"] > 0.8


def test_a_model_that_lost_the_source_is_not_kept_and_the_reason_has_the_figures_of_the_scores(tmp_path):
    x, y = shifted(shift=2, seed=2)
    turned = {"method": "supervised", "target_labels": (x, 1 - y), "steps": 100, "settings": {"train.lr": 0.02}}
    scores = adapted(tmp_path, seeds=2, **turned).scores
    before, after = (part["source_val"]["accuracy"] for part in (scores["source_only"], scores["adapted"]))
    assert scores["kept"] == "source_only"
    assert scores["why"] == f"accuracy on the source fell from {before:.3f} to {after:.3f}"
    assert {name: scores[name] for name in scores["source_only"]} == scores["source_only"]


def test_source_only_is_its_own_baseline(tmp_path):
    run = adapted(tmp_path, method="source_only")
    assert run.scores["kept"] == "source_only"
    assert run.scores["target"] == run.scores["source_only"]["target"]


def test_resume_goes_on_with_a_finished_run_without_training(tmp_path):
    models = list(adapted(tmp_path).path.glob("models/*"))
    before = [path.stat().st_mtime_ns for path in models]
    adapted(tmp_path, resume=True)
    assert len(models) == 2
    assert [path.stat().st_mtime_ns for path in models] == before


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"steps": 60}, "steps 60, but the Run was made with 5"),
        ({"seeds": 3}, "seeds 3, but the Run was made with 1"),
        ({"method": "dann"}, "method dann, but the Run was made with mcc"),
        ({"settings": {"train.lr": 0.5}}, r"settings=\{'train.lr': 0.5\}, but the Run was made with 0.001"),
        ({"settings": {"temperature": 2}}, r"settings=\{'temperature': 2.0\}, but the Run was made without"),
        ({"augment": "noise"}, "augment noise, but the Run was made with none"),
        ({"target_labels": shifted(seed=2)}, "target_labels target labels, but the Run was made without"),
    ],
)
def test_resume_with_other_options_names_the_option_and_both_values(shared_run, more, told):
    with pytest.raises(BadInput, match=f"run: cannot resume: {told}; use the same"):
        adapted(shared_run().path.parent, resume=True, **more)


def test_predictions_have_a_row_for_each_input_in_order(tmp_path):
    run = adapted(tmp_path, steps=100, settings={"train.lr": 0.02})
    x, y = shifted(30, shift=2, seed=5)
    found = run.predict(x)
    assert found["name"].to_list() == [str(i) for i in range(30)]
    np.testing.assert_allclose(found["p_0"] + found["p_1"], 1, atol=1e-6)
    assert np.mean(found["class"].cast(pl.Int64).to_numpy() == y) > 0.9


def test_evaluate_shows_the_baseline_beside(shared_run):
    run = shared_run()
    found = run.evaluate(shifted(50, shift=2, seed=3))
    assert {"accuracy", "f1", "log_loss", "source_only", "adapted", "recall"} <= set(found)
    assert found[found["kept"]]["accuracy"] == found["accuracy"]


def test_positive_classes_make_the_auc_binary(tmp_path):
    from sklearn.metrics import roc_auc_score

    run, (x, y) = adapted(tmp_path, positive=["1"]), shifted(shift=2, seed=1)
    expected = roc_auc_score(y, run.predict(x)["p_1"])
    assert run.scores["positive"] == ["1"]
    assert run.scores["target"]["auc"] == pytest.approx(expected, abs=1e-4)
    assert run.evaluate((x, y))["auc"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_scores_with_views_stand_beside_the_plain_ones(tmp_path):
    source, target = samples.images(tmp_path / "s", each=8), samples.images(tmp_path / "t", each=8, seed=1)
    given = {"method": "mcc", "steps": 2, "score": target}
    plain = package.adapt(source, target, tmp_path / "plain", **given).scores
    run = package.adapt(source, target, tmp_path / "views", tta=["hflip", "shift"], **given)
    assert run.scores["target"] == plain["target"]
    assert run.scores["target_tta"].keys() == plain["target"].keys()
    assert run.scores["target_tta"] != plain["target"]
    found = run.evaluate(target, tta=["hflip", "shift"])["tta"]
    assert found["adapted"]["log_loss"] == pytest.approx(run.scores["target_tta"]["log_loss"], abs=1e-4)


@pytest.mark.slow
def test_views_of_a_frozen_backbone_are_kept_and_give_the_same(tmp_path):
    source, target = samples.images(tmp_path / "s", each=8), samples.images(tmp_path / "t", each=8, seed=1)
    given = {"method": "mcc", "steps": 2, "score": target, "tta": ["hflip"], "finetune": "feature_extraction"}
    kept, anew = (
        package.adapt(source, target, tmp_path / str(keep), settings={"train.cache_features": keep}, **given).scores
        for keep in (True, False)
    )
    for name in ("accuracy", "log_loss"):
        assert kept["target_tta"][name] == pytest.approx(anew["target_tta"][name], abs=1e-4)
    assert kept["target_tta"]["log_loss"] != kept["target"]["log_loss"]


def test_predictions_are_averaged_over_views(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)
    run = package.adapt((x, [0, 1] * 6), x, tmp_path / "run", method="source_only", steps=2, backbone="cnn")
    plain, mirrored = (run.predict(a)["p_1"].to_numpy() for a in (x, x[:, :, ::-1]))
    np.testing.assert_allclose(run.predict(x, tta=["hflip"])["p_1"], (plain + mirrored) / 2, atol=1e-6)


def test_augmentation_changes_training_and_not_what_is_scored(tmp_path):
    plain, noisy = (adapted(tmp_path / str(how), augment=how, steps=1) for how in (None, "noise"))
    assert plain.scores != noisy.scores
    x, _ = shifted()
    assert noisy.predict(x).equals(noisy.predict(x))


def test_the_split_keeps_a_row_of_every_class_to_train_on():
    labels = np.array([0] * 20 + [1] * 2 + [2])
    rows, held = split(labels, 0.1, seed=0)
    assert sorted([*rows, *held]) == list(range(23))
    assert set(labels[rows]) == {0, 1, 2}
    assert set(labels[held]) == {0, 1}


@pytest.mark.parametrize("method", ["mcc", pytest.param("self_training", marks=pytest.mark.slow)])
def test_images_go_through_the_same_door(tmp_path, method):
    source, target = samples.images(tmp_path / "s", each=8), samples.images(tmp_path / "t", each=8, seed=1)
    run = package.adapt(source, target, tmp_path / "run", method=method, steps=2)
    assert run.predict(target).height == 16


def test_the_command_prints_one_json_object(tmp_path, acclimate):
    source, target = samples.arrays(tmp_path / "s.npz"), samples.arrays(tmp_path / "t.npz", seed=1)
    told = acclimate("adapt", source, target, "-o", tmp_path / "run", "--steps", 2, "--score", target, "--json")
    assert told.code == 0
    assert json.loads(told.out) == {"run": str(tmp_path / "run"), **Run.open(tmp_path / "run").scores}


@pytest.mark.parametrize(
    "method",
    [pytest.param("source_only", marks=pytest.mark.slow), "mcc", pytest.param("supervised", marks=pytest.mark.slow)],
)
def test_labels_of_the_target_that_are_given_reach_the_adapted_model_alone(tmp_path, method):
    x, y = shifted(shift=2, seed=2)
    runs = [adapted(tmp_path / str(i), method=method, target_labels=(x[:20], labels)) for i, labels in
            enumerate((y[:20], 1 - y[:20]))]  # fmt: skip
    for phase, same in (("source_only", True), ("adapted", False)):
        weights = [run.weights(0, phase).read_bytes() for run in runs]
        assert (weights[0] == weights[1]) is same


def test_labels_of_the_target_that_are_given_are_written_down_and_told(tmp_path):
    x, y = shifted(shift=2, seed=2)
    run = adapted(tmp_path, method="source_only", target_labels=(x[:20], y[:20]))
    assert run.recipe.target_labels.model_dump() == {"path": "target labels", "n": 20}
    assert run.recipe.phases == ("source_only", "adapted")
    assert "source_only with 20 labelled examples of the target" in finding(run)
    assert "20 to learn from" in (run.path / "report.html").read_text("utf-8")


def test_numbers_of_the_target_are_learnt_too(tmp_path):
    x, y = shifted(shift=2, seed=1)
    given = {"target_labels": (x[:20], y[:20] + 0.5 * x[:20, 2]), "score": (x[20:], y[20:] + 0.5 * x[20:, 2])}
    source, _ = shifted()
    run = package.adapt((source, source[:, 0] * 2.5), x, tmp_path / "run", method="source_only", steps=5, **given)
    assert run.recipe.task == "regression"
    assert set(run.scores["target"]) == {"n", "mae", "rmse", "r2"}


@pytest.mark.parametrize("precision", [pytest.param("64-true", marks=pytest.mark.slow), "bf16-true"])
@pytest.mark.parametrize("make", [lambda x: x, scipy.sparse.csr_array], ids=["dense", "sparse"])
def test_every_precision_works_on_vectors(tmp_path, precision, make):
    (x, y), (xt, _) = shifted(), shifted(shift=2, seed=1)
    run = package.adapt((make(x), y), make(xt), tmp_path / "run", method="shot", steps=2, precision=precision)
    assert run.recipe.train.precision == precision
    assert run.predict(make(xt))["class"].is_not_null().all()
