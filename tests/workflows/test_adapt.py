import contextlib
import itertools
import json

import numpy as np
import polars as pl
import pytest
import samples
import torch
from safetensors.torch import load_file
from samples import shifted

import acclimate as package
from acclimate import finetune, methods
from acclimate.data.loaders import split
from acclimate.errors import BadInput
from acclimate.runs.finding import finding
from acclimate.runs.models import shape_of
from acclimate.training.progress import LossLog


def adapted(folder, **options):
    given = {"method": "mcc", "steps": 5, "score": shifted(shift=2, seed=1)}
    return package.adapt(shifted(), shifted(shift=2, seed=1)[0], folder / "run", **{**given, **options})


def test_a_run_has_the_parts_of_the_contract(tmp_path):
    run = adapted(tmp_path)
    parts = {"recipe.yaml", "model.safetensors", "preprocess", "losses.jsonl", "outputs", "scores.json", "report.html"}
    assert parts | {"environment.json"} <= {p.name for p in run.path.iterdir()}
    assert set(run.scores["source_only"]) == {"source_val", "target_estimate", "target"}
    assert set(run.scores["target_estimate"]) == {"accuracy", "low", "high", "how"}
    assert run.scores["kept"] in {"adapted", "source_only"}


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


def test_the_same_recipe_gives_the_same_weights(tmp_path):
    first, second = (package.adapt(shifted(), shifted(shift=2)[0], tmp_path / n, steps=5) for n in "ab")
    assert (first.path / "model.safetensors").read_bytes() == (second.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("method", ["shot", "nrc"])
def test_a_source_free_method_starts_from_the_source_only_weights(tmp_path, method):
    run = adapted(tmp_path, method=method, steps=3)
    before, after = (load_file(run.weights(0, phase)) for phase in ("source_only", "adapted"))
    assert torch.equal(before["head.weight"], after["head.weight"]) == (method == "shot")  # it keeps its head
    assert not torch.equal(before["backbone.0.weight"], after["backbone.0.weight"])
    torch.testing.assert_close(before["backbone.0.weight"], after["backbone.0.weight"], rtol=0, atol=0.02)


def test_a_source_free_method_starts_from_smoothed_labels(tmp_path):
    smoothed = {"method": "source_only", "settings": {"label_smoothing": 0.1}}
    run, alone = (adapted(tmp_path / n, steps=3, **how) for n, how in (("a", {"method": "shot"}), ("b", smoothed)))
    assert run.weights(0, "source_only").read_bytes() == alone.weights(0, "source_only").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("method", methods.names())
def test_no_number_for_an_option_ends_in_a_traceback(tmp_path, method):
    numbers = [n for n, p in methods.options(method).items() if type(p.default) in (int, float)]
    labels = {"target_labels": shifted(shift=2)} if method == "supervised" else {}
    for name, value in itertools.product(numbers, (-1, 0)):
        with contextlib.suppress(BadInput):
            adapted(tmp_path / f"{name} {value}", method=method, steps=2, settings={name: value}, **labels)


def source_free(folder, method="shot"):
    """A Run that started from a Run, whose source is no more."""
    samples.arrays(folder / "source.npz", n=60)
    samples.arrays(folder / "target.npz", seed=1, n=60)
    given = {"method": method, "steps": 5}
    before = package.adapt(folder / "source.npz", folder / "target.npz", folder / "before", **given)
    (folder / "source.npz").unlink()
    given["score"] = folder / "target.npz"
    return before, package.adapt(folder / "before", folder / "target.npz", folder / "after", **given)


@pytest.mark.parametrize("method", ["shot", "nrc"])
def test_from_a_run_a_source_free_method_gives_what_it_gives_from_the_source(method, tmp_path):
    before, after = source_free(tmp_path, method)
    for phase in ("source_only", "adapted"):
        assert after.weights(0, phase).read_bytes() == before.weights(0, phase).read_bytes()


def test_what_started_from_a_run_tells_nothing_of_itself_on_the_source(tmp_path):
    before, after = source_free(tmp_path)
    assert after.scores["source_val"] is None
    assert after.scores["source_only"]["source_val"] == before.scores["source_only"]["source_val"]
    assert 0 <= after.scores["target"]["accuracy"] <= 1
    assert "no example of the source" in after.scores["target_estimate"]["how"]


def test_label_shift_is_not_told_of_a_model_that_never_met_the_source(tmp_path):
    _, run = source_free(tmp_path)
    run.write_json("scores.json", {**run.scores, "kept": "adapted"})
    with pytest.raises(BadInput, match="label_shift: needs held-out examples"):
        run.label_shift(run.predict(tmp_path / "target.npz"), "em")


def test_of_a_run_the_first_source_free_method_is_auto_and_python_takes_the_object(tmp_path):
    before, _ = source_free(tmp_path)
    run = package.adapt(before, tmp_path / "target.npz", method="auto", steps=2)
    assert (run.recipe.method, run.recipe.origin) == ("shot", str(before.path))


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
    run = adapted(tmp_path, seeds=3)
    assert run.scores["seeds"] == [0, 1, 2]
    assert "accuracy_sd" in run.scores["target"]
    assert {line["seed"] for line in run.losses()} == {0, 1, 2}


def test_supervised_trains_on_labels_given_on_purpose(tmp_path):
    x, y = shifted(shift=2, seed=1)
    run = adapted(tmp_path, method="supervised", target_labels=(x, 1 - y), steps=100, settings={"train.lr": 0.02})
    assert run.scores["target"]["accuracy"] < 0.2
    assert run.scores["source_only"]["target"]["accuracy"] > 0.8


def test_a_model_that_lost_the_source_is_not_kept_and_the_reason_has_the_figures_of_the_scores(tmp_path):
    x, y = shifted(shift=2, seed=1)
    turned = {"method": "supervised", "target_labels": (x, 1 - y), "steps": 100, "settings": {"train.lr": 0.02}}
    scores = adapted(tmp_path, seeds=2, **turned).scores
    before, after = (part["source_val"]["accuracy"] for part in (scores["source_only"], scores))
    assert scores["kept"] == "source_only"
    assert scores["why"] == f"accuracy on the source fell from {before:.3f} to {after:.3f}"


def test_source_only_is_its_own_baseline(tmp_path):
    run = adapted(tmp_path, method="source_only")
    assert run.scores["kept"] == "source_only"
    assert run.scores["target"] == run.scores["source_only"]["target"]


def test_resume_goes_on_with_a_finished_run_without_training(tmp_path):
    before = (adapted(tmp_path).path / "model.safetensors").stat().st_mtime_ns
    models = (tmp_path / "run/models/adapted-0.safetensors").stat().st_mtime_ns
    adapted(tmp_path, resume=True)
    assert (tmp_path / "run/models/adapted-0.safetensors").stat().st_mtime_ns == models
    assert before


def test_resume_with_another_recipe_is_refused(tmp_path):
    adapted(tmp_path)
    with pytest.raises(BadInput, match="made with another method"):
        adapted(tmp_path, method="dann", resume=True)


def test_predictions_have_a_row_for_each_input_in_order(tmp_path):
    run = adapted(tmp_path, steps=100, settings={"train.lr": 0.02})
    x, y = shifted(30, shift=2, seed=5)
    found = run.predict(x)
    assert found["name"].to_list() == [str(i) for i in range(30)]
    np.testing.assert_allclose(found["p_0"] + found["p_1"], 1, atol=1e-6)
    assert np.mean(found["class"].cast(pl.Int64).to_numpy() == y) > 0.9


def test_evaluate_shows_the_baseline_beside(tmp_path):
    run = adapted(tmp_path)
    found = run.evaluate(shifted(50, shift=2, seed=3))
    assert {"accuracy", "f1", "log_loss", "source_only", "adapted", "recall"} <= set(found)
    assert found[found["kept"]]["accuracy"] == found["accuracy"]


def test_positive_classes_make_the_auc_binary(tmp_path):
    from sklearn.metrics import roc_auc_score

    run, (x, y) = adapted(tmp_path, positive=["1"]), shifted(shift=2, seed=1)
    expected = roc_auc_score(y, run.predict(x)["p_1"])
    assert run.scores["positive"] == ["1"]
    kept = run.scores if run.scores["kept"] == "adapted" else run.scores["source_only"]
    assert kept["target"]["auc"] == pytest.approx(expected, abs=1e-4)
    assert run.evaluate((x, y))["auc"] == pytest.approx(expected, abs=1e-4)


def test_scores_with_views_stand_beside_the_plain_ones(tmp_path):
    source, target = samples.images(tmp_path / "s", each=8), samples.images(tmp_path / "t", each=8)
    given = {"method": "mcc", "steps": 2, "score": target}
    plain = package.adapt(source, target, tmp_path / "plain", **given).scores
    run = package.adapt(source, target, tmp_path / "views", tta=["hflip", "shift"], **given)
    assert run.scores["target"] == plain["target"]
    assert run.scores["target_tta"].keys() == plain["target"].keys()
    assert run.scores["target_tta"] != plain["target"]
    found = run.evaluate(target, tta=["hflip", "shift"])["tta"]
    assert found["adapted"]["log_loss"] == pytest.approx(run.scores["target_tta"]["log_loss"], abs=1e-4)


def test_views_of_a_frozen_backbone_are_kept_and_give_the_same(tmp_path):
    source, target = samples.images(tmp_path / "s", each=8), samples.images(tmp_path / "t", each=8)
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


def test_augmentation_is_recorded_for_the_domains_that_are_learnt_from(tmp_path):
    both = adapted(tmp_path / "both", augment="noise", settings={"augment.target": "none"}).recipe.augment
    one = adapted(tmp_path / "one", augment="noise", method="source_only").recipe.augment
    assert (both.source, both.target) == (one.source, one.target) == ("noise", "none")


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


@pytest.mark.parametrize("method", ["mcc", "self_training"])
def test_images_go_through_the_same_door(tmp_path, method):
    source, target = samples.images(tmp_path / "s", each=8), samples.images(tmp_path / "t", each=8)
    run = package.adapt(source, target, tmp_path / "run", method=method, steps=2)
    assert run.predict(target).height == 16


def test_the_command_prints_one_json_object(tmp_path, acclimate):
    source, target = samples.arrays(tmp_path / "s.npz"), samples.arrays(tmp_path / "t.npz", seed=1)
    told = acclimate("adapt", source, target, "-o", tmp_path / "run", "--steps", 2, "--score", target, "--json")
    assert told.code == 0
    assert json.loads(told.out)["kept"] in {"adapted", "source_only"}


def patterns(seed=0, n=40):
    """Noise with a bright half, left or right."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.integers(0, 120, (n, 16, 16)).astype(np.uint8)
    for picture, code in zip(x, y, strict=True):
        picture[:, 8 * code : 8 * code + 8] += 100
    return x, y


def pretrained(folder, method="dann", *, settings=None, **options):
    """A Run whose backbone learnt from views first."""
    given = {"train.batch_size": 8, "pretrain.hidden": 16, "pretrain.out": 8, **(settings or {})}
    asked = {"method": method, "steps": 4, "pretrain": "byol", "backbone": "cnn", **options}
    return package.adapt(patterns(), patterns(1)[0], folder / "run", settings=given, **asked)


@pytest.mark.parametrize("method", ["dann", "source_only"])
def test_a_pretrained_backbone_goes_on_and_the_baseline_goes_without(tmp_path, method):
    run = pretrained(tmp_path, method, score=patterns(1))
    assert {p.stem for p in (run.path / "models").iterdir()} == {"source_only-0", "pretrained-0", "adapted-0"}
    steps = {phase: [line["step"] for line in run.losses() if line["phase"] == phase] for phase in run.recipe.trainings}
    assert steps == {phase: [1, 2, 3, 4] for phase in ("source_only", "pretrained", "adapted")}
    assert f"{method} after byol" in finding(run)
    given = {"method": "source_only", "steps": 4, "settings": {"train.batch_size": 8}}
    without = package.adapt(patterns(), patterns(1)[0], tmp_path / "without", backbone="cnn", **given)
    assert without.weights(0, "source_only").read_bytes() == run.weights(0, "source_only").read_bytes()


@pytest.mark.parametrize("batch_norm", ["separate", "concat", "domain"])
def test_the_method_starts_from_the_pretrained_backbone_and_a_fresh_head(tmp_path, batch_norm):
    still = {"train.batch_norm": batch_norm, "train.lr": 1e-12, "pretrain.lr": 0.01}
    run = pretrained(tmp_path, settings=still)
    learnt, after = (load_file(run.weights(0, phase)) for phase in ("pretrained", "adapted"))
    torch.manual_seed(0)
    fresh = finetune.classifier(run.recipe, "source_only", shape_of(run.preprocess)).state_dict()
    torch.testing.assert_close(after["backbone.0.weight"], learnt["backbone.0.weight"], rtol=0, atol=1e-6)
    torch.testing.assert_close(after["head.weight"], fresh["head.weight"], rtol=0, atol=1e-6)
    assert not torch.allclose(learnt["backbone.0.weight"], fresh["backbone.0.weight"], atol=1e-3)


@pytest.mark.parametrize(("rung", "moves"), [("feature_extraction", False), ("lp_ft", True)])
def test_the_ladder_stands_on_the_pretrained_backbone(tmp_path, rung, moves):
    run = pretrained(tmp_path, "source_only", finetune=rung, steps=6)
    learnt, after = (load_file(run.weights(0, phase)) for phase in ("pretrained", "adapted"))
    assert all(torch.equal(learnt[k], after[k]) for k in learnt if k.startswith("backbone.")) != moves
    assert torch.equal(learnt["backbone.0.weight"], after["backbone.0.weight"]) != moves


def test_pretraining_may_look_at_either_domain_or_both(tmp_path):
    runs = [pretrained(tmp_path / on, settings={"pretrain.on": on}) for on in ("source", "target", "both")]
    learnt = [load_file(run.weights(0, "pretrained"))["backbone.0.weight"] for run in runs]
    assert not any(torch.equal(learnt[i], learnt[i - 1]) for i in range(3))


def test_pretraining_sees_no_label(tmp_path):
    x, y = patterns()
    given = {"method": "source_only", "pretrain": "vicreg", "backbone": "cnn", "steps": 3}
    given["settings"] = {"pretrain.hidden": 16, "pretrain.out": 8, "train.batch_size": 8}
    a, b = (package.adapt((x, y), (x, t), tmp_path / str(t[0]), **given).weights(0, "pretrained") for t in (y, 1 - y))
    assert a.read_bytes() == b.read_bytes()


def test_after_pretraining_the_labels_may_be_the_targets_own(tmp_path):
    run = pretrained(tmp_path, "supervised", target_labels=patterns(1))
    assert run.recipe.trainings == ("source_only", "pretrained", "adapted")


def test_what_is_not_said_of_pretraining_is_as_in_the_training(tmp_path):
    run = pretrained(tmp_path, settings={"pretrain.steps": 2, "train.accumulate": 2, "pretrain.norm": "layer"})
    asked = run.recipe.pretrain
    assert (asked.train.steps, asked.train.batch_size, asked.train.accumulate) == (2, 8, 2)
    assert (asked.train.optimizer, asked.options["norm"]) == (run.recipe.train.optimizer, "layer")
    page = (run.path / "report.html").read_text("utf-8")
    assert "on the target without labels, 2 of 2 batches of 8 examples" in page
    assert "pretraining, without labels" in page


def test_a_run_cut_off_in_its_pretraining_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    settings, add = {"pretrain.steps": 9, "pretrain.save_every": 3}, LossLog.step
    straight = pretrained(tmp_path / "straight", settings=settings)

    def dying(self, now, look):
        add(self, now, look)
        if self.phase == "pretrained" and now.done == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LossLog, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            pretrained(tmp_path / "cut", settings=settings)
    cut = pretrained(tmp_path / "cut", settings=settings, resume=True)
    for phase in straight.recipe.trainings:
        assert cut.weights(0, phase).read_bytes() == straight.weights(0, phase).read_bytes()
    assert list(cut.losses()) == list(straight.losses())


def test_a_run_is_resumed_only_with_the_same_pretraining(tmp_path):
    pretrained(tmp_path)
    with pytest.raises(BadInput, match="was made with another pretrain"):
        pretrained(tmp_path, pretrain="vicreg", resume=True)


@pytest.mark.parametrize(("asked", "size"), [({}, 224), ({"image_size": 32}, 32)])
def test_a_pretrained_backbone_gets_the_images_it_was_trained_on_unless_told_otherwise(tmp_path, asked, size):
    folder = samples.images(tmp_path / "images")
    run = package.adapt(
        folder, folder, tmp_path / "run", method="source_only", backbone="efficientnet_lite0", steps=1,
        settings={"train.batch_size": 2}, **asked,
    )  # fmt: skip
    fitted = run.preprocess
    assert (fitted.size, fitted.interpolation) == (size, "bicubic")
    assert run.predict(folder).height == 6


def test_larger_images_get_a_pretrained_backbone_without_asking(tmp_path):
    folder = samples.images(tmp_path / "images", size=80)
    run = package.adapt(folder, folder, tmp_path / "run", method="source_only", steps=1, image_size=72)
    assert run.recipe.backbone == "efficientnet_lite0"


@pytest.mark.parametrize("method", ["source_only", "mcc", "supervised"])
def test_labels_of_the_target_that_are_given_reach_the_adapted_model_alone(tmp_path, method):
    x, y = shifted(shift=2, seed=1)
    runs = [adapted(tmp_path / str(i), method=method, target_labels=(x[:20], labels)) for i, labels in
            enumerate((y[:20], 1 - y[:20]))]  # fmt: skip
    for phase, same in (("source_only", True), ("adapted", False)):
        weights = [run.weights(0, phase).read_bytes() for run in runs]
        assert (weights[0] == weights[1]) is same


def test_labels_of_the_target_that_are_given_are_written_down_and_told(tmp_path):
    x, y = shifted(shift=2, seed=1)
    run = adapted(tmp_path, method="source_only", target_labels=(x[:20], y[:20]))
    assert run.recipe.target_labels.model_dump() == {"path": "target labels", "n": 20}
    assert run.recipe.phases == ("source_only", "adapted")
    assert "source_only with 20 labelled examples of the target" in finding(run)
    assert "20 to learn from" in (run.path / "report.html").read_text("utf-8")


def test_numbers_of_the_target_are_learnt_too(tmp_path):
    x, y = shifted(shift=2, seed=1)
    given = {"target_labels": (x[:20], y[:20] + 0.5 * x[:20, 2]), "score": (x, y + 0.5 * x[:, 2])}
    source, _ = shifted()
    run = package.adapt((source, source[:, 0] * 2.5), x, tmp_path / "run", method="source_only", steps=5, **given)
    assert run.recipe.task == "regression"
    assert run.scores["kept"] in {"adapted", "source_only"}
