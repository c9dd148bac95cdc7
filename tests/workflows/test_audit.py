"""Labels of the target for reporting alone: on a finished Run, and at the end of a training."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
import samples

from acclimate import adapt
from acclimate.errors import BadInput
from acclimate.metrics import wilson
from acclimate.runs.run import Run
from acclimate.validators.audit import audit as plain_audit
from acclimate.workflows.audit import audit, to_label

QUICK = {"steps": 3, "backbone": "mlp"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def of_vectors(place):
    """A Run of two seeds whose target has no labels."""
    (x, y), (xt, _) = samples.shifted(60), samples.shifted(400, shift=1, seed=1)
    return adapt((x, y), xt, place / "vectors", method="dann", seeds=2, **QUICK).path


@pytest.fixture
def run(of_vectors, tmp_path):
    return Run.open(shutil.copytree(of_vectors, tmp_path / "run"))


@pytest.fixture(scope="module")
def of_images(place):
    source = samples.images(place / "source", ["007", "012"], each=6)
    samples.images(place / "target", [""], each=8, seed=1)
    return adapt(source, place / "target", place / "images", method="source_only", steps=1, backbone="mnist").path


@pytest.fixture(scope="module")
def of_tables(place):
    samples.table(place / "source.csv")
    samples.table(place / "target.csv", sick=["?"] * 12)
    return adapt(
        place / "source.csv", place / "target.csv", place / "tables", label="sick", method="dann", **QUICK
    ).path


def test_each_model_has_its_accuracy_with_a_wilson_interval(run):
    x, y = samples.shifted(30, shift=1, seed=2)
    found, scores = audit(run, (x, y)), Run.open(run.path).evaluate((x, y))
    for phase in ("source_only", "adapted"):
        share = scores[phase]["accuracy"]
        assert found[phase]["how"] == "wilson"
        shown = [found[phase][key] for key in ("accuracy", "low", "high")]
        assert shown == pytest.approx([share, *wilson(share, 30)], abs=1e-5)


def test_the_change_is_of_the_same_examples(run):
    x, y = samples.shifted(30, shift=1, seed=2)
    found = audit(run, (x, y))
    change = found["change"]
    assert change["difference"] == pytest.approx(
        found["adapted"]["accuracy"] - found["source_only"]["accuracy"], abs=1e-5
    )
    assert change["low"] <= change["difference"] <= change["high"]
    assert change["n"] == 30


def test_confidence_sharpens_an_audit_of_the_targets_own_examples_alone(run, monkeypatch):
    asked = []

    def powered(right, guess, rest):
        asked.append(len(rest))
        return plain_audit(right)

    monkeypatch.setattr("acclimate.workflows.audit.prediction_powered", powered)
    x, y = samples.shifted(400, shift=1, seed=1)
    audit(run, (x[:40], y[:40]))
    audit(run, (x[:40] + 0.5, y[:40]))
    assert asked == [400, 400, 0, 0]


def test_the_run_keeps_the_audit_and_its_report_states_it(run):
    x, y = samples.shifted(30, shift=1, seed=2)
    found = audit(run, (x, y), model="adapted")
    assert json.loads(run.file("audit.json").read_text("utf-8")) == Run.open(run.path).audited == found
    assert (found["n"], found["model"], found["seeds"]) == (30, "adapted", [0])
    page = run.file("report.html").read_text("utf-8")
    known = f"{found['adapted']['accuracy']:.1%}, known from 30 labels"
    assert page.index(known) < page.index("Estimate without labels")
    assert known in run.summary()


def test_numbers_have_errors_with_intervals(finished_regression, tmp_path):
    run = Run.open(shutil.copytree(finished_regression, tmp_path / "run"))
    labelled = samples.prices(tmp_path / "labelled.csv", shift=1, seed=2)
    found = audit(run, labelled)
    assert found["adapted"]["mae"] == pytest.approx(run.evaluate(labelled)["adapted"]["mae"], rel=1e-5)
    assert found["adapted"]["low"] <= found["adapted"]["mae"] <= found["adapted"]["high"]
    assert found["change"]["measure"] == "mae"


def test_the_source_itself_is_refused(run):
    with pytest.raises(BadInput, match="is the source, which the Run was trained on"):
        audit(run, samples.shifted(60))
    assert run.audited is None


def test_examples_without_labels_and_unknown_classes_are_refused(run):
    x, y = samples.shifted(30, seed=2)
    with pytest.raises(BadInput, match="label"):
        audit(run, x)
    with pytest.raises(BadInput, match="class '6' is not in the source"):
        audit(run, (x, y + 6))
    assert not run.file("audit.json").exists()


def test_images_to_label_come_back_as_a_list(of_images, place, tmp_path):
    run = Run.open(shutil.copytree(of_images, tmp_path / "run"))
    frame = to_label(run, str(place / "target"), 5, folder=place, seed=3)
    assert frame.columns == ["image", "label"]
    assert all(path.startswith("target/") for path in frame["image"])
    filled = place / "to_label.csv"
    frame.with_columns(label=pl.Series(["007", "012", "007", "012", "012"])).write_csv(filled)
    assert audit(run, filled)["n"] == 5


def test_a_list_may_lie_elsewhere(of_images, place, tmp_path):
    frame = to_label(Run.open(of_images), str(place / "target"), 5, folder=tmp_path)
    assert all(path.startswith(str(place / "target")) for path in frame["image"])
    assert frame["label"].is_null().all()


@pytest.mark.slow
def test_rows_to_label_have_all_columns_and_come_back(of_tables, place, tmp_path):
    run = Run.open(shutil.copytree(of_tables, tmp_path / "run"))
    frame = to_label(run, str(place / "target.csv"), 5, folder=tmp_path)
    frame.write_csv(tmp_path / "to_label.csv")
    blank = pl.read_csv(tmp_path / "to_label.csv")
    assert blank.columns == ["age", "town", "sick"]
    assert blank["sick"].is_null().all()
    with pytest.raises(BadInput, match="label 'sick' is missing in 5 of 5 rows"):
        audit(run, tmp_path / "to_label.csv")
    blank.with_columns(sick=pl.lit("yes")).write_csv(tmp_path / "to_label.csv")
    assert audit(run, tmp_path / "to_label.csv")["n"] == 5


def test_the_draw_is_uniform_and_seeded(of_tables, place):
    run, target = Run.open(of_tables), str(place / "target.csv")
    drawn = [to_label(run, target, 4, folder=place, seed=s)["age"].to_list() for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert to_label(run, target, 12, folder=place)["age"].n_unique() == 12


def test_more_than_there_are_and_arrays_are_refused(of_tables, run, place, tmp_path):
    with pytest.raises(BadInput, match="the target has 12 examples; ask for 1 to 12 labels, not 13"):
        to_label(Run.open(of_tables), str(place / "target.csv"), 13, folder=tmp_path)
    np.savez(tmp_path / "rows.npz", x=samples.shifted(20)[0])
    with pytest.raises(BadInput, match="neither a folder of images nor a table; draw rows with"):
        to_label(run, str(tmp_path / "rows.npz"), 3, folder=tmp_path)


X, Y = samples.shifted(60)
XT, YT = samples.shifted(80, shift=1, seed=1)
FAST = {"method": "source_only", "steps": 1, "backbone": "mlp"}


def test_an_audit_at_the_end_of_a_training_changes_nothing_else(tmp_path):
    plain = adapt((X, Y), XT, tmp_path / "a", **FAST)
    audited = adapt((X, Y), XT, tmp_path / "b", audit=(XT[:20], YT[:20]), **FAST)
    assert audited.scores == plain.scores
    assert audited.recipe == plain.recipe
    assert plain.file("model.safetensors").read_bytes() == audited.file("model.safetensors").read_bytes()
    assert {**audited.audited, "name": "examples"} == audit(plain, (XT[:20], YT[:20]))
    assert "known from 20 labels" in audited.file("report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"audit": (X[:20], Y[:20])}, "audit: 20 of 20 examples are also in the source"),
        ({"audit": (XT[:20], YT[:20]), "target_labels": (XT[10:40], YT[10:40]), "method": "dann"},
         "audit: 10 of 20 examples are also in the labelled target"),
        ({"audit": XT[:20]}, "label"),
        ({"audit": (XT[:20], YT[:20] + 5)}, "class '5' is not in the source"),
    ],
)  # fmt: skip
def test_labels_that_are_learnt_from_are_refused_before_training(tmp_path, options, told):
    with pytest.raises(BadInput, match=told):
        adapt((X, Y), XT, tmp_path / "run", **FAST | options)
    assert not (tmp_path / "run").exists()


def test_scores_and_an_audit_may_share_examples(tmp_path):
    run = adapt((X, Y), XT, tmp_path / "run", score=(XT, YT), audit=(XT[:20], YT[:20]), **FAST)
    assert (run.scores["target"]["n"], run.audited["n"]) == (80, 20)


def test_a_run_in_the_place_of_the_source_is_not_audited_on_its_source(tmp_path):
    first = adapt((X, Y), XT, tmp_path / "first", **FAST)
    with pytest.raises(BadInput, match="audit: is the source of"):
        adapt(first, XT, tmp_path / "second", method="shot", steps=1, audit=(X, Y))
    second = adapt(first, XT, tmp_path / "second", method="shot", steps=1, audit=(XT[:20], YT[:20]))
    assert second.audited["phase"] == second.kept


def test_a_list_of_images_audits_a_training_too(place, tmp_path):
    samples.images(tmp_path / "target", [""], each=4, seed=1)
    pl.DataFrame({"image": ["target/0.png", "target/2.png"], "label": [7, 12]}).write_csv(tmp_path / "few.csv")
    source = samples.images(tmp_path / "source", ["007", "012"], each=6)
    options = {**FAST, "backbone": "mnist", "audit": tmp_path / "few.csv"}
    run = adapt(source, tmp_path / "target", tmp_path / "run", **options)
    assert (run.audited["n"], run.audited["name"]) == (2, str(tmp_path / "few.csv"))
