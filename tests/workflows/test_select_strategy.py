import json

import numpy as np
import pytest
import samples
import timm
import torch
from safetensors.torch import load_file, save_file

from acclimate import adapt, labels
from acclimate.errors import BadInput
from acclimate.workflows import select_strategy as climb


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Two folders of pictures, and weights that a backbone may be said to be pretrained by."""
    folder = tmp_path_factory.mktemp("climb")
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), folder / "w.safetensors")
    source = samples.images(folder / "source", each=8, size=32)
    return source, samples.images(folder / "target", ["cat", "dog"], each=4, size=32), str(folder / "w.safetensors")


def run(given, output, **more):
    source, target, weights = given
    usual = {"method": "source_only", "weights": weights, "settings": {"train.batch_size": 4, "train.validation": 0.3}}
    return adapt(source, target, output, backbone="timm:resnet10t", steps=3, **{**usual, **more})


def saying(monkeypatch, *means):
    """Have the validation losses of the rungs be these, as they are tried."""
    left, noise = list(means), np.random.default_rng(0).normal(size=(len(means), 50)) / 100
    monkeypatch.setattr(climb, "validation_losses", lambda run, plan: left.pop(0) + noise[len(left)])


@pytest.mark.parametrize(
    ("losses", "rung", "n_tried"),
    [
        ((0.5, 0.5), "feature_extraction", 2),
        ((0.5, 0.4, 0.4), "partial", 3),
        ((0.5, 0.4, 0.3), "full", 3),
        ((0.5, 0.7), "feature_extraction", 2),
    ],
)
def test_it_climbs_as_long_as_the_next_rung_is_better(given, tmp_path, monkeypatch, losses, rung, n_tried):
    saying(monkeypatch, *losses)
    recipe = run(given, tmp_path / "run").recipe
    assert (recipe.finetune, list(recipe.tried)) == (rung, list(climb.STRATEGIES[:n_tried]))


def test_a_gain_must_be_more_than_a_standard_error():
    before, noise = np.ones(100), np.random.default_rng(0).normal(size=100)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    assert climb.gains(before, before - 0.11 + noise)
    assert not climb.gains(before, before - 0.09 + noise)
    assert not climb.gains(before[:1], before[:1] - 1)


def test_the_run_is_that_of_the_rung_which_was_found(given, tmp_path):
    found = run(given, tmp_path / "auto", method="mcc", seeds=2)
    asked = run(given, tmp_path / "asked", method="mcc", seeds=2, finetune=found.recipe.finetune)
    assert found.recipe.model_copy(update={"tried": {}}) == asked.recipe
    for path in sorted(asked.file("models").iterdir()):
        ours, theirs = load_file(found.file(f"models/{path.name}")), load_file(path)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert list(found.losses()) == list(asked.losses())


def test_what_was_found_holds_when_a_run_is_gone_on_with(given, tmp_path, monkeypatch):
    before = run(given, tmp_path / "run").recipe
    monkeypatch.setattr(climb, "_trained", None)
    assert run(given, tmp_path / "run", resume=True).recipe == before


@pytest.mark.parametrize("more", [{"weights": None, "settings": {"backbone.pretrained": False}}, {"finetune": "full"}])
def test_nothing_is_tried_where_there_is_no_choice(given, tmp_path, more):
    recipe = run(given, tmp_path / "run", **more).recipe
    assert (recipe.finetune, recipe.tried) == ("full", {})


def test_strategies_of_label_curves_that_name_no_rung_climb_too(given, tmp_path, monkeypatch):
    source, target, weights = given
    saying(monkeypatch, 0.5, 0.4, 0.4)
    asked = {"strategies": ["source_only"], "per_class": [1], "seeds": 1, "steps": 2, "weights": weights}
    found = labels(source, target, tmp_path / "labels", backbone="timm:resnet10t", **asked).found
    assert found["strategies"]["source_only"]["finetune"] == "partial"


def test_curves_from_before_rungs_were_tried_are_refused_in_a_line(given, tmp_path, monkeypatch):
    source, target, weights = given
    saying(monkeypatch, 0.5, 0.5)
    asked = {"strategies": ["source_only"], "per_class": [1], "seeds": 1, "steps": 2, "weights": weights}
    labels(source, target, tmp_path / "labels", backbone="timm:resnet10t", **asked)
    found = json.loads((tmp_path / "labels/labels.json").read_text("utf-8"))
    del found["strategies"]["source_only"]["tried"]
    (tmp_path / "labels/labels.json").write_text(json.dumps(found), "utf-8")
    with pytest.raises(BadInput, match="was made with other strategies"):
        labels(source, target, tmp_path / "labels", backbone="timm:resnet10t", resume=True, **asked)
