import numpy as np
import polars as pl
import pytest
import samples
import torch
from safetensors.torch import load_file

from acclimate import adapt, methods
from acclimate.backbones import Shape, build
from acclimate.data import load
from acclimate.data.inputs import ArrayImageInputs, ImageInputs
from acclimate.nn.cut import Below
from acclimate.recipe import DomainSpec, Recipe, Training
from acclimate.training import features
from acclimate.training.features import allows_stand_in, frozen
from acclimate.training.inference import predict

TIMM = {"backbone": "timm:resnet10t", "backbone.pretrained": False}

PARTIAL = {"finetune": "partial", **TIMM}


def run(folder, out, method="dann", target_labels=None, backbone="cnn", finetune="feature_extraction", **more):
    """An adaptation on pictures with a frozen backbone of random weights."""
    source, target = samples.images(folder / "source", each=5), samples.images(folder / "target", each=4, seed=1)
    return adapt(
        source, target, folder / out, method=method, backbone=backbone, finetune=finetune, steps=5,
        image_size=32, settings={"train.validation": 0.3, "train.batch_size": 4, **more}, score=target,
        target_labels=target_labels,
    )  # fmt: skip


def model(seed=0):
    torch.manual_seed(seed)
    return build("cnn", Shape(images=True, size=16, mean=[100.0] * 3, std=[50.0] * 3), 2, {}).classifier


def pixels(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)


@pytest.fixture
def computed(monkeypatch, tmp_path):
    """How many examples features were computed for, each time; the cache is empty at first."""
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path / "cache"))
    counts, compute = [], features._features

    def counting(below, inputs):
        counts.append(len(inputs))
        return compute(below, inputs)

    monkeypatch.setattr(features, "_features", counting)
    return counts


@pytest.mark.parametrize(
    ("method", "net"),
    [("dann", {}), *(pytest.param(*given, marks=pytest.mark.slow) for given in [("source_only", TIMM), ("mcc", {})])],
)
def test_cached_and_uncached_runs_give_the_same_head(tmp_path, method, net):
    kept, plain = (run(tmp_path, str(c), method, **net, **{"train.cache_features": c}) for c in (True, False))
    phase = kept.recipe.phases[-1]
    ours, theirs = (load_file(r.weights(0, phase)) for r in (kept, plain))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("method", [pytest.param(m, marks=pytest.mark.slow) for m in ("source_only", "dann", "shot")])
def test_features_below_the_trained_layers_give_the_same_model(tmp_path, method, computed):
    kept = run(tmp_path, "kept", method, **PARTIAL)
    assert len(computed) == 2  # the source and the target, once for all phases and for scores
    plain = run(tmp_path, "plain", method, **PARTIAL, **{"train.cache_features": False})
    ours, theirs = (load_file(r.weights(0, kept.recipe.phases[-1])) for r in (kept, plain))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.slow
def test_features_that_do_not_fit_into_memory_are_not_kept(tmp_path, computed):
    run(
        tmp_path,
        "run",
        finetune="partial",
        backbone="timm:resnet10t",
        **{"backbone.pretrained": False, "train.cache_mb": 0},
    )
    assert not computed


@pytest.mark.slow
def test_a_run_on_features_predicts_from_images(tmp_path):
    kept = run(tmp_path, "kept")
    said = kept.predict(tmp_path / "target")
    predicted = said.sort("name").select("p_cat", "p_dog").to_numpy()
    outputs = pl.read_parquet(kept.outputs(0, kept.kept, "scored")).sort("name")
    np.testing.assert_allclose(predicted, np.array(outputs["probabilities"].to_list()), atol=1e-5)


def test_another_run_computes_nothing_again(tmp_path, computed):
    run(tmp_path, "first")
    before = len(computed)
    run(tmp_path, "second", "mcc")
    assert before == 2
    assert len(computed) == 2


@pytest.mark.slow
def test_with_labels_of_the_target_kept_features_give_the_same_head(tmp_path):
    some = samples.images(tmp_path / "some", each=2, seed=2)
    kept = run(tmp_path, "kept", "mcc", target_labels=some)
    plain = run(tmp_path, "plain", "mcc", target_labels=some, **{"train.cache_features": False})
    ours, theirs = (load_file(r.weights(0, "adapted")) for r in (kept, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_changed_file_is_seen(tmp_path, computed):
    folder = samples.images(tmp_path / "pictures", size=16)
    for i in range(2):
        domain = load(folder)
        features.features(Below(model()), ImageInputs(domain.examples, 16), "pictures")
        samples.picture(7 + i).save(folder / "cat" / "0.png")
    assert len(computed) == 2


def test_a_changed_weight_is_seen(computed):
    inputs = ArrayImageInputs(pixels(), 16)
    first, second = (features.features(Below(model(seed)), inputs, "pictures") for seed in (0, 1))
    assert len(computed) == 2
    assert not np.allclose(first, second)


def test_another_size_is_another_entry(tmp_path):
    examples = load(samples.images(tmp_path / "pictures", size=40)).examples
    assert len({ImageInputs(examples, size).digest() for size in (16, 32, 16)}) == 2


@pytest.mark.parametrize(
    ("rung", "method", "stands"),
    [
        ("feature_extraction", "dann", True),
        ("full", "dann", False),
        ("feature_extraction", "vada", False),
        ("feature_extraction", "self_training", False),
    ],
)
def test_features_stand_where_nothing_below_them_is_looked_at(rung, method, stands):
    place = DomainSpec(path="x")
    recipe = Recipe(source=place, target=place, method=method, backbone="cnn", finetune=rung, train=Training())
    assert (frozen(recipe) and allows_stand_in(recipe, methods.get(method)(model()))) is stands


def test_backbones_that_are_equal_are_run_once_for_an_ensemble(monkeypatch):
    rows, ran = ArrayImageInputs(pixels(), 16), []
    models = [model(0), model(0), model(1)]
    torch.nn.init.normal_(models[1].head.weight)
    usual = features._features
    monkeypatch.setattr(features, "_features", lambda *given: ran.append(given[0]) or usual(*given))
    found = list(features.predict_frozen((of_seed.eval() for of_seed in models), rows))
    assert [id(below.net) for below in ran] == [id(models[0].net[1]), id(models[2].net[1])]
    for predictions, of_seed in zip(found, models, strict=True):
        np.testing.assert_allclose(predictions.logits, predict(of_seed, rows).logits, rtol=1e-4, atol=1e-5)
