import json

import numpy as np
import pytest
import samples
from samples import shifted

import acclimate
from acclimate import adapt
from acclimate.data.budgets import Budget, draw
from acclimate.errors import BadInput
from acclimate.workflows import label_curves as label_efficiency

FEW = {"per_class": [1, 5], "seeds": 1, "steps": 3}


def asked(folder, **more):
    return acclimate.labels(shifted(), shifted(shift=2, seed=1), folder, **{**FEW, **more})


def watched(monkeypatch, dies_at=0):
    """The trainings that were begun; the one of that number dies, as if the machine did."""
    usual, begun = label_efficiency.train_phases, []

    def watching(phases, machine):
        begun.extend(phases)
        if 0 < dies_at <= len(begun):
            raise KeyboardInterrupt
        usual(phases, machine)

    monkeypatch.setattr(label_efficiency, "train_phases", watching)
    return begun


def without_seconds(points):
    return [{k: v for k, v in point.items() if k != "seconds"} for point in points]


def test_every_strategy_has_a_point_at_each_budget_and_seed(tmp_path):
    found = asked(tmp_path / "labels", seeds=2).found
    at = {(p["strategy"], p["labels"], p["seed"]) for p in found["points"]}
    some = {(name, n, s) for name in ("source_only", "supervised", "mcc") for n in (2, 10) for s in (0, 1)}
    assert at == some | {(name, 0, s) for name in ("source_only", "mcc") for s in (0, 1)}
    assert [curve["seeds"] for curve in found["curves"]["mcc"]] == [2, 2, 2]
    assert {p.name for p in (tmp_path / "labels").iterdir()} == {"labels.json", "labels.html"}


@pytest.mark.slow
def test_a_point_is_what_adapt_gives_for_the_same_labels(tmp_path):
    x, y = shifted(shift=2, seed=1)
    curves = asked(tmp_path / "labels", strategies=["mcc"], score=shifted(shift=2, seed=2), per_class=[5])
    rows = draw(y, Budget("", each=5), 0)
    run = adapt(
        shifted(), x, tmp_path / "run", method="mcc", steps=3, target_labels=(x[rows], y[rows]),
        score=shifted(shift=2, seed=2),
    )  # fmt: skip
    ours, theirs = curves.found["curves"]["mcc"][1], run.scores["adapted"]["target"]
    assert (ours["accuracy"], ours["log_loss"]) == (theirs["accuracy"], pytest.approx(theirs["log_loss"], abs=1e-5))


def test_labels_that_are_scored_on_are_never_learnt_from(tmp_path, monkeypatch):
    begun = watched(monkeypatch)
    x, y = shifted(shift=2, seed=1)
    x[:, 3] = np.arange(len(x))
    found = acclimate.labels(shifted(), (x, y), tmp_path / "labels", **{**FEW, "per_class": [50]}).found
    parts = [part for _, plan, *_ in begun for part in (plan.target, plan.target_labels and plan.target_labels.domain)]
    learnt = {int(row) for part in parts if part for row in part.examples[:, 3]}
    assert (len(learnt), found["drawn_from"], found["scored"]["n"]) == (100, 100, 100)


def test_without_labels_a_plan_has_none(tmp_path, monkeypatch):
    begun = watched(monkeypatch, dies_at=1)
    with pytest.raises(KeyboardInterrupt):
        asked(tmp_path / "labels", strategies=["mcc"])
    plan = begun[0][1]
    assert plan.target_labels is None
    assert plan.recipe.target_labels is None


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Curves that nothing cut off; tests only read them."""
    return asked(tmp_path_factory.mktemp("straight") / "labels")


@pytest.mark.slow
def test_what_was_cut_off_goes_on_to_the_same_points(straight, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        watched(patched, dies_at=4)
        with pytest.raises(KeyboardInterrupt):
            asked(tmp_path / "resumed")
    assert len(json.loads((tmp_path / "resumed/labels.json").read_text())["points"]) == 3
    assert (tmp_path / "resumed/trainings").is_dir()
    begun = watched(monkeypatch)
    resumed = asked(tmp_path / "resumed", resume=True)
    assert len(begun) == len(straight.found["points"]) - 3
    assert without_seconds(resumed.found["points"]) == without_seconds(straight.found["points"])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"steps": 4}, "strategy source_only: steps 4, but the curves were made with 3"),
        (
            {"per_class": [1, 6]},
            r"fractions or per_class: 0 .*, 6 per class \(12 labels\), but the curves were made with 0 .*, 5 per",
        ),
        ({"strategies": ["mcc"]}, "strategies mcc, but the curves were made with source_only, supervised, mcc"),
        ({"held_out": 0.4}, "score or held_out: 80 examples of target, but the curves were made with 100 examples"),
        ({"seeds": 2}, "seeds 0, 1, but the curves were made with 0"),
    ],
)
def test_curves_with_other_options_are_not_resumed_and_the_option_is_named(straight, more, told):
    with pytest.raises(BadInput, match=f"cannot resume: {told}"):
        asked(straight.path, resume=True, **more)


@pytest.mark.parametrize("key", ["tta", "strategies", "scored"])
def test_curves_whose_file_lacks_a_key_are_not_resumed(straight, tmp_path, key):
    found = {k: v for k, v in straight.found.items() if k != key}
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/labels.json").write_text(json.dumps(found))
    with pytest.raises(BadInput, match=r"labels.json was written by another version"):
        asked(tmp_path / "labels", resume=True)


def test_a_strategy_names_its_rung_and_takes_the_settings_that_are_its_own(tmp_path):
    given = {"finetune.start": 0.4, "weight": 0.5, "train.target_share": 0.25, "train.lr": 0.01}
    strategies = ["mcc", "supervised+lp_ft", "source_only+feature_extraction"]
    known = {name: label_efficiency._strategy(name, "auto") for name in strategies}
    taken = {name: {key for key in given if s.takes(key)} for name, s in known.items()}
    options = label_efficiency.finetune.options("lp_ft")
    assert taken["mcc"] == {"weight", "train.target_share", "train.lr"}
    assert known["supervised+lp_ft"].takes(f"finetune.{next(iter(options))}")
    assert not known["supervised+lp_ft"].takes("train.target_share")
    found = asked(tmp_path / "labels", strategies=strategies, settings={"weight": 0.5}, per_class=[1]).found
    assert {name: r["finetune"] for name, r in found["strategies"].items()} == {
        "mcc": "full", "supervised+lp_ft": "lp_ft", "source_only+feature_extraction": "feature_extraction"}  # fmt: skip
    assert found["strategies"]["mcc"]["options"] == {"weight": 0.5}


@pytest.mark.slow
def test_a_backbone_learns_without_labels_once_for_all_budgets(tmp_path, monkeypatch):
    begun = watched(monkeypatch)
    domains = (samples.images(tmp_path / str(i), each=8, size=32, seed=i) for i in range(2))
    given = {"pretrain": "vicreg", "settings": {"pretrain.steps": 2, "pretrain.batch_size": 4}, "tta": ["hflip"]}
    found = acclimate.labels(
        *domains, tmp_path / "labels", per_class=[0, 2], seeds=1, steps=2, strategies=["mcc"], positive=["cat"], **given
    ).found  # fmt: skip
    assert [one.phase for one in begun] == ["pretrained", "adapted", "adapted"]
    assert found["curves"]["mcc"][0]["tta"].keys() >= {"accuracy", "log_loss", "auc", "f1"}


def test_budgets_that_are_the_same_are_one(tmp_path):
    found = asked(tmp_path / "labels", fractions=[0.1], per_class=[0, 5], strategies=["source_only"]).found
    assert [budget["labels"] for budget in found["budgets"]] == [0, 10]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"fractions": [1.5]}, "fractions: 1.5 is out of range"),
        ({"fractions": [0]}, "fractions: 0 is out of range"),
        ({"per_class": [-1]}, "per_class: -1 is negative"),
        ({"per_class": [51]}, "per_class 51: class '0' has only 50 labelled examples to draw from"),
        ({"held_out": 1.0}, "held_out: 1 is not a fraction"),
        ({"strategies": ["mccc"]}, "strategy 'mccc': 'mccc': unknown method; did you mean mcc"),
        ({"strategies": ["shot"]}, "strategy 'shot': 'shot': learns from no labels"),
        ({"strategies": ["mcc+lpft"]}, "no fine-tuning strategy 'lpft'; did you mean lp_ft"),
        ({"strategies": ["mcc", "auto"]}, "strategy 'mcc': is named twice"),
        ({"strategies": ["mcc"], "method": "dann"}, "method: strategies names the methods already"),
        ({"settings": {"wieght": 1}}, "wieght: has no effect on the strategies"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_written(tmp_path, more, says):
    with pytest.raises(BadInput) as told:
        asked(tmp_path / "labels", **more)
    assert says in str(told.value)
    assert not list(tmp_path.iterdir())


def test_numbers_are_no_classes_to_count(tmp_path):
    x, _ = shifted()
    with pytest.raises(BadInput, match="labels are drawn by class"):
        acclimate.labels((x, x[:, 0] * 2.5), (x, x[:, 0]), tmp_path / "labels")


def test_a_target_without_labels_has_none_to_draw(tmp_path):
    with pytest.raises(BadInput, match="has no labels, and labels are drawn from the target"):
        acclimate.labels(shifted(), shifted()[0], tmp_path / "labels")


def test_a_strange_folder_is_left_alone(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/mine.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"cannot resume: not a folder of label curves \(contains .mine.txt.\)"):
        asked(tmp_path / "labels", resume=True)
    assert [p.name for p in (tmp_path / "labels").iterdir()] == ["mine.txt"]
