"""Images and texts together, through the whole house."""

import shutil

import numpy as np
import polars as pl
import pytest
import samples
import torch
from safetensors.torch import load_file

from acclimate import adapt, labels
from acclimate.errors import BadInput
from acclimate.runs.run import Run
from acclimate.runs.snippets import read_snippets
from acclimate.training.progress import LossLog

pytestmark = pytest.mark.slow  # two pretrained networks


class Places:
    """Two catalogues and a tiny encoder."""

    def __init__(self, folder):
        self.folder = folder
        self.source = samples.catalogue(folder / "books", n=16)
        self.target = samples.catalogue(folder / "films", n=12, thing="film")
        self.encoder = samples.encoder(folder / "tiny")

    def adapt(self, out, method="dann", **more):
        given = {"backbone.image": "cnn", "backbone.text": f"encoder:{self.encoder}", **more.pop("settings", {})}
        return adapt(
            self.source, self.target, out, method=method, label="mood", image="photo", text="text",
            settings={"train.batch_size": 8, "train.lr": 0.003, **given}, **{"steps": 20, **more},
        )  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return Places(tmp_path_factory.mktemp("fusion"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A Run whose encoder is gone from where it was."""
    places = Places(tmp_path_factory.mktemp("run"))
    run = places.adapt(places.folder / "run", score=places.target)
    shutil.rmtree(places.encoder)
    return run


def target_of(run):
    return run.path.parent / "films" / "items.csv"


def test_one_model_learns_from_both(run):
    assert run.scores["target"]["accuracy"] == 1
    assert run.recipe.backbone == "fusion"
    features = pl.read_parquet(run.outputs(0, "adapted", "target"))["features"].to_list()
    assert len(features[0]) == 128 + 8


def test_predictions_are_what_the_run_said(run):
    before = pl.read_parquet(run.outputs(0, run.kept, "target"))["probabilities"].to_list()
    predicted = Run.open(run.path).predict(target_of(run)).select("p_bad", "p_good").to_numpy()
    np.testing.assert_allclose(predicted, np.array(before), atol=1e-6)
    assert run.evaluate(target_of(run))["accuracy"] == 1


def crossed(path):
    """What the picture shows and what the text says are apart, and the label is of both: neither alone tells it."""
    frame = pl.read_csv(path)
    said = ["good" if i // 2 % 2 else "bad" for i in range(len(frame))]
    both = [f"{shown} and {word}" for shown, word in zip(frame["mood"], said, strict=True)]
    frame.with_columns(text=pl.Series([f"a {word} film" for word in said]), mood=pl.Series(both)).write_csv(path)
    return path


def test_what_neither_tells_alone_is_learnt_from_both(places, tmp_path):
    source, target = (crossed(samples.catalogue(tmp_path / "ab"[i], n=128, seed=i)) for i in range(2))
    settings = {"backbone.image": "cnn", "backbone.text": f"encoder:{places.encoder}", "train.lr": 0.003}
    run = adapt(
        source, target, tmp_path / "run", method="source_only", label="mood", image="photo", text="text", steps=80,
        score=target, settings=settings,
    )  # fmt: skip
    assert len(run.recipe.classes) == 4
    assert run.scores["target"]["accuracy"] > 0.9


def test_a_row_whose_image_cannot_be_read_says_so(run, tmp_path):
    samples.catalogue(tmp_path / "odd")
    (tmp_path / "odd/photos/3.png").write_bytes(b"no picture")
    predicted = run.predict(tmp_path / "odd/items.csv")
    assert predicted["class"].is_null().to_list() == [i == 3 for i in range(12)]
    assert "row 3, photos/3.png: not a readable image" in predicted["error"][3]


def test_the_report_shows_the_picture_and_the_text(run):
    snippet = read_snippets(run, "target")[1]
    assert snippet.text == "the good film"
    assert snippet.image.startswith("data:image/")
    page = (run.path / "report.html").read_text("utf-8")
    assert snippet.image in page
    assert snippet.text in page


def test_a_run_is_gone_on_from(run, tmp_path):
    after = adapt(run, target_of(run), tmp_path / "after", method="shot", steps=2)
    assert after.predict(target_of(run)).height == 12


@pytest.mark.parametrize("how", ["adabn", "lame"])
def test_it_adapts_while_it_predicts(run, how):
    assert run.predict(target_of(run), test_time=how)["class"].null_count() == 0


@pytest.mark.parametrize("asked", [{"tta": ["hflip"]}, {"test_time": "tent", "tta": ["shift"]}])
def test_views_of_it_there_are_none(run, asked):
    with pytest.raises(BadInput, match="applies to images only"):
        run.predict(target_of(run), **asked)


class _Dies:
    """The log of a training that dies right after a step of the method."""

    def __init__(self, step):
        self.step, self.add = step, LossLog.step

    def patched(self):
        def add(log, now, look):
            self.add(log, now, look)
            if log.phase == "adapted" and now.done == self.step:
                raise KeyboardInterrupt

        return add


def test_a_resumed_training_is_the_same_to_the_bit(places, tmp_path, monkeypatch):
    often = {"settings": {"train.save_every": 3}, "steps": 8}
    straight = places.adapt(tmp_path / "straight", "dann", **often)
    with monkeypatch.context() as patch:
        patch.setattr(LossLog, "step", _Dies(5).patched())
        with pytest.raises(KeyboardInterrupt):
            places.adapt(tmp_path / "resumed", "dann", **often)
    resumed = places.adapt(tmp_path / "resumed", "dann", resume=True, **often)
    ours, theirs = (load_file(r.weights(0, "adapted")) for r in (resumed, straight))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("method", ["source_only", "mcc"])
def test_cached_and_uncached_runs_give_the_same_head(places, tmp_path, method):
    runs = []
    for cached in (True, False):
        settings = {"train.cache_features": cached}
        runs.append(
            places.adapt(tmp_path / str(cached), method, finetune="feature_extraction", settings=settings, steps=5)
        )
    kept, plain = (load_file(r.weights(0, r.recipe.phases[-1])) for r in runs)
    assert kept.keys() == plain.keys()
    for name in kept:
        torch.testing.assert_close(kept[name], plain[name], rtol=1e-5, atol=1e-6, msg=name)


def test_features_are_computed_anew_when_a_text_changes(places, tmp_path, monkeypatch):
    counts = []
    from acclimate.training import features

    compute = features._features
    monkeypatch.setenv("ACCLIMATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features, "_features", lambda *given: counts.append(1) or compute(*given))
    items, before = pl.read_csv(places.target), places.target.read_bytes()
    for i, text in enumerate(["a good book", "a bad book", "a bad book"]):
        items.with_columns(text=pl.Series([text, *items["text"][1:]])).write_csv(places.target)
        places.adapt(tmp_path / str(i), "source_only", finetune="feature_extraction", steps=1)
    places.target.write_bytes(before)
    assert len(counts) == 3  # the source once, each of the two targets once


@pytest.mark.parametrize("rung", ["partial", "llrd", "gradual", "lp_ft"])
def test_every_rung_goes_with_it(places, tmp_path, rung):
    run = places.adapt(tmp_path / "run", "mcc", finetune=rung, steps=2)
    assert run.predict(places.target)["class"].null_count() == 0


def test_lora_goes_with_it(places, tmp_path):
    pytest.importorskip("peft")
    run = places.adapt(tmp_path / "run", "mcc", finetune="lora", steps=2)
    assert run.predict(places.target)["class"].null_count() == 0


def test_words_are_counted_without_an_encoder(places, tmp_path):
    run = places.adapt(tmp_path / "run", "mcc", settings={"backbone.text": "mlp"}, steps=40)
    before = pl.read_parquet(run.outputs(0, run.kept, "target"))["probabilities"].to_list()
    predicted = run.predict(places.target).select("p_bad", "p_good").to_numpy()
    np.testing.assert_allclose(predicted, np.array(before), atol=1e-6)


def test_numbers_are_learnt_too(places, tmp_path):
    for path in (places.source, places.target):
        frame = pl.read_csv(path)
        frame.with_columns(price=pl.Series(np.arange(len(frame)) % 2 * 3.5)).write_csv(path.with_name("prices.csv"))
    source, target = (path.with_name("prices.csv") for path in (places.source, places.target))
    run = adapt(
        source, target, tmp_path / "run", label="price", image="photo", text="text", method="deep_coral", steps=5,
        settings={"backbone.image": "cnn", "backbone.text": "mlp", "train.batch_size": 8},
    )  # fmt: skip
    assert run.recipe.task == "regression"
    assert run.predict(target)["prediction"].null_count() == 0


def test_two_processes_train_it(places, tmp_path):
    run = places.adapt(tmp_path / "run", "dann", steps=4, devices=2)
    assert run.predict(places.target)["class"].null_count() == 0


def test_command_line(places, acclimate, tmp_path):
    told = acclimate(
        "adapt", places.source, places.target, "-o", tmp_path / "run", "--image", "photo", "--text", "text", "--label",
        "mood", "--set", "backbone.image=cnn", "--set", f"backbone.text=encoder:{places.encoder}", "--steps", 2,
        "--method", "mcc",
    )  # fmt: skip
    assert told.code == 0, told.lines
    told = acclimate("predict", tmp_path / "run", places.target, "-o", tmp_path / "p.csv")
    assert told.code == 0
    assert pl.read_csv(tmp_path / "p.csv").height == 12
    assert acclimate("evaluate", tmp_path / "run", places.target).code == 0


def test_labels_of_both_are_bought(places, tmp_path):
    curves = labels(
        places.source, places.target, tmp_path / "labels", fractions=[0.5], seeds=1, steps=2, label="mood",
        image="photo", text="text", strategies=["source_only", "supervised"],
        settings={"backbone.image": "cnn", "backbone.text": "mlp", "train.batch_size": 4},
    )  # fmt: skip
    assert {point["strategy"] for point in curves.found["points"]} == {"source_only", "supervised"}


def test_labels_of_the_target_go_with_it(places, tmp_path):
    run = places.adapt(tmp_path / "run", "mcc", target_labels=places.target, steps=4)
    assert run.predict(places.target)["class"].null_count() == 0
