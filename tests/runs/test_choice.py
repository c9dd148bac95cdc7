import functools
import json
import logging

import numpy as np
import polars as pl
import pytest
import samples

from acclimate import adapt
from acclimate.errors import BadInput
from acclimate.runs.choice import Choice, choose
from acclimate.runs.run import Run

BOTH = {"kept": "adapted", "phases": ("source_only", "adapted"), "seeds": (3, 5)}
REJECTED = {**BOTH, "kept": "source_only"}


@pytest.mark.parametrize(
    ("model", "of", "phase", "seeds"),
    [
        ("", BOTH, "adapted", (3, 5)),
        ("", REJECTED, "source_only", (3, 5)),
        ("", {**BOTH, "seeds": (3,)}, "adapted", (3,)),
        ("", {**BOTH, "alone": "--test-time"}, "adapted", (3,)),
        ("kept", BOTH, "adapted", (3,)),
        ("kept", REJECTED, "source_only", (3,)),
        ("adapted", REJECTED, "adapted", (3,)),
        ("source_only", BOTH, "source_only", (3,)),
        ("ensemble", REJECTED, "source_only", (3, 5)),
    ],
)
def test_models_are_chosen_by_name(model, of, phase, seeds):
    assert choose(model, **of) == Choice(phase, seeds)


@pytest.mark.parametrize(
    ("model", "of", "told"),
    [
        ("adapted", {"kept": "source_only", "phases": ("source_only",), "seeds": (0,)}, "has no adapted model"),
        ("ensemble", {**BOTH, "seeds": (0,)}, "this Run has one seed only; use model kept"),
        ("ensemble", {**BOTH, "alone": "--test-time"}, "test_time needs one model; use model kept"),
        ("adaptd", BOTH, "did you mean adapted"),
    ],
)
def test_a_model_that_there_is_not_is_refused(model, of, told):
    with pytest.raises(BadInput, match=told):
        choose(model, **of)


def number_domains():
    x, _ = samples.shifted()
    return (x, x[:, 0] * 3.5 + 100), (x + 1, x[:, 0] * 3.5 + 100)


def image_domains():
    x = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    return (x, np.arange(20) % 2), (255 - x, np.arange(20) % 2)


DOMAINS = {
    "network": lambda: (samples.shifted(), samples.shifted(shift=2, seed=1)),
    "linear": lambda: (samples.shifted(), samples.shifted(shift=2, seed=1)),
    "numbers": number_domains,
    "frozen": image_domains,
}
OPTIONS = {
    "network": {"method": "mcc", "steps": 5},
    "linear": {"method": "coral"},
    "numbers": {"method": "deep_coral", "steps": 5},
    "frozen": {"method": "dann", "steps": 2, "backbone": "cnn", "finetune": "feature_extraction"},
}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """Gives, by its kind, a Run of two seeds and its labelled target."""

    @functools.cache
    def made(kind):
        source, target = DOMAINS[kind]()
        folder = tmp_path_factory.mktemp(kind) / "run"
        return adapt(source, target[0], folder, seeds=[0, 1], score=target, **OPTIONS[kind]), target

    return made


def answers(run, frame):
    columns = ["prediction"] if run.recipe.task == "regression" else [f"p_{name}" for name in run.recipe.classes]
    return frame.select(columns).to_numpy()


def written(run, seed):
    """What the training of one seed wrote for the target."""
    frame = pl.read_parquet(run.outputs(seed, run.kept, "target"))
    column = "predicted" if run.recipe.task == "regression" else "probabilities"
    return np.array(frame[column].to_list()).reshape(len(frame), -1)


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow) if k == "frozen" else k for k in DOMAINS])
def test_by_default_the_mean_over_seeds_predicts(seeded, kind):
    run, (x, _) = seeded(kind)
    mean = (written(run, 0) + written(run, 1)) / 2
    np.testing.assert_allclose(answers(run, run.predict(x)), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers(run, run.predict(x, model="kept")), written(run, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["network", "linear", "numbers"])
def test_evaluate_gives_the_score_of_the_ensemble_and_says_so(seeded, kind):
    run, target = seeded(kind)
    found = run.evaluate(target)
    assert (found["model"], found["seeds"], found["kept"]) == ("ensemble", [0, 1], run.kept)
    for measure, value in run.scores["ensemble"]["target"].items():
        assert found[measure] == pytest.approx(value, rel=1e-3, abs=1e-4, nan_ok=True)


def test_each_model_can_be_evaluated(seeded):
    run, target = seeded("network")
    for model in "source_only", "adapted":
        found = run.evaluate(target, model=model)
        assert (found["model"], found["seeds"]) == (model, [0])
        assert found["log_loss"] == found[model]["log_loss"]
    assert found["source_only"]["log_loss"] != found["adapted"]["log_loss"]


def test_the_scores_of_the_kept_model_are_at_the_top(seeded):
    scores = seeded("network")[0].scores
    assert scores["target"] == scores[scores["kept"]]["target"]
    assert scores["adapted"]["target"] != scores["source_only"]["target"]


def test_test_time_adaptation_takes_one_model_and_says_which(seeded, caplog):
    run, (x, _) = seeded("network")
    with caplog.at_level(logging.WARNING, "acclimate"):
        found = run.predict(x, test_time="lame")
    assert f"--test-time needs one model: the {run.kept.replace('_', '-')} model of seed 0 predicts" in caplog.text
    assert found.equals(run.predict(x, test_time="lame", model="kept"))
    with pytest.raises(BadInput, match="model ensemble: test_time needs one model"):
        run.predict(x, test_time="lame", model="ensemble")


def test_label_shift_needs_the_predictions_of_one_model(seeded):
    run, (x, _) = seeded("network")
    with pytest.raises(BadInput, match="label_shift: needs the predictions of one model; use model kept"):
        run.label_shift(run.predict(x))
    shares = run.label_shift(run.predict(x, model="kept"), model="kept").shares
    assert shares.sum() == pytest.approx(1)


def test_the_held_out_examples_of_label_shift_are_the_chosen_models(seeded, monkeypatch):
    run, (x, _) = seeded("network")
    read, predicted = [], run.predict(x, model="source_only")
    usual = Run.outputs
    monkeypatch.setattr(Run, "outputs", lambda *given: read.append(given[1:]) or usual(*given))
    run.label_shift(predicted, model="source_only")
    assert set(read) == {(0, "source_only", "source_val")}


def test_the_commands_say_which_model(seeded, acclimate, tmp_path):
    run, (x, y) = seeded("network")
    np.savez(tmp_path / "new.npz", x=x, y=y)
    given = (run.path, tmp_path / "new.npz")
    kind = run.kept.replace("_", "-")
    mean, one = f"the mean of the {kind} models of seeds 0, 1", f"the {kind} model of seed 0"
    assert f"examples, {mean}: accuracy" in acclimate("evaluate", *given).out
    assert f"examples, {one}: accuracy" in acclimate("evaluate", *given, "--model", "kept").out
    assert f"predicted by {mean}" in acclimate("predict", *given, "-o", tmp_path / "a.csv").out
    told = json.loads(acclimate("predict", *given, "-o", tmp_path / "b.csv", "--model", run.kept, "--json").out)
    assert (told["model"], told["seeds"]) == (run.kept, [0])


def test_with_label_shift_the_command_takes_the_kept_model_and_says_so(seeded, acclimate, tmp_path):
    run, (x, _) = seeded("network")
    np.savez(tmp_path / "new.npz", x=x)
    told = acclimate("predict", run.path, tmp_path / "new.npz", "-o", tmp_path / "p.csv", "--label-shift", "em")
    assert told.code == 0
    assert "--label-shift needs one model" in told.lines[-1]
    assert "model of seed 0" in told.out


@pytest.mark.parametrize(("kind", "measure"), [("network", "accuracy"), ("linear", "accuracy"), ("numbers", "mae")])
def test_the_change_that_is_told_is_that_of_the_scores(seeded, kind, measure):
    scores, (x, _) = seeded(kind)[0].scores, seeded(kind)[1]
    change = scores["change"]
    assert (change["measure"], change["n"], change["seeds"]) == (measure, len(x), 2)
    gained = scores["adapted"]["target"][measure] - scores["source_only"]["target"][measure]
    assert change["difference"] == pytest.approx(gained, rel=1e-3, abs=1e-5)
    assert change["low"] < change["difference"] < change["high"]
    assert {part["target"]["n"] for part in (scores, scores["adapted"], scores["ensemble"])} == {len(x)}


def test_of_one_example_no_change_is_told(tmp_path):
    (source, (x, y)) = DOMAINS["linear"]()
    scores = adapt(source, x, tmp_path / "run", method="coral", score=(x[:1], y[:1])).scores
    assert scores["target"]["n"] == 1
    assert "change" not in scores
