"""A diagnosis beside a Run, or with labels of the target."""

import re

import numpy as np
import pytest
import samples

import acclimate
from acclimate.errors import BadInput
from acclimate.shift.outputs import rest_test, with_shares
from acclimate.workflows import diagnosed_features


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Run whose classes lie apart along one axis."""
    folder = tmp_path_factory.mktemp("diagnosed") / "run"
    return acclimate.adapt(
        samples.shifted(1600), samples.shifted(200, seed=1)[0], folder, method="source_only", steps=200
    )


def with_rare_class(n=200, share=0.1, seed=2):
    x, y = samples.shifted(4 * n, seed=seed)
    rows = np.concatenate(
        [np.flatnonzero(y == 0)[: round(n * (1 - share))], np.flatnonzero(y == 1)[: round(n * share)]]
    )
    return x[rows], y[rows]


def test_class_shares_alone_are_called_label_shift(run):
    found = acclimate.diagnose(samples.shifted(400, seed=7)[0], with_rare_class()[0], model=run)
    assert found.label_shift[-1].startswith("Label shift: ")
    assert found.of("outputs")[0].verdict == "very different"


@pytest.mark.slow
def test_more_than_class_shares_is_called_so(run):
    x, _ = with_rare_class()
    found = acclimate.diagnose(samples.shifted(400, seed=7)[0], x + np.float32([0, 3, 0, 0]), model=run)
    assert found.label_shift[-1].startswith("More than the class shares changed")


@pytest.mark.slow
def test_the_shares_are_told_with_intervals(run):
    found = acclimate.diagnose(samples.shifted(400, seed=7)[0], with_rare_class(share=0.1)[0], model=run)
    [low, high] = re.search(r"of 1 went from 50% to \d+% \((\d+)% to (\d+)%\)", found.label_shift[1]).groups()
    assert int(low) <= 10 <= int(high)
    assert found.bound.source_error == pytest.approx(1 - run.scores["source_val"]["accuracy"])


def test_labels_of_the_target_tell_its_shares():
    found = acclimate.diagnose(samples.shifted(300), with_rare_class()[0], target_labels=with_rare_class(seed=5))
    [shares] = [one for one in found.of("label") if one.name == "classes"]
    assert shares.verdict == "very different"
    assert "1 50% → 10%" in shares.text


@pytest.mark.slow
def test_labels_replace_the_estimate_of_a_run(run):
    x, y = with_rare_class()
    found = acclimate.diagnose(samples.shifted(400, seed=7)[0], x, model=run, target_labels=(x, y))
    assert found.label_shift[1].startswith("1 has 10% (7% to 15%)")
    assert {"classes", "predicted classes"} <= {one.name for one in found.of("label")}


def test_without_labels_label_shift_is_unknown():
    found = acclimate.diagnose(samples.shifted(60), samples.shifted(60, seed=1))
    assert any("--target-labels" in text for text in found.unknown)
    assert found.of("label") == []


def test_images_are_compared_by_features(monkeypatch, tmp_path):
    monkeypatch.setattr(diagnosed_features, "_by_backbone", lambda a, b: tuple(_means(domain) for domain in (a, b)))
    dark, bright = (samples.images(tmp_path / name, each=8, seed=i) for i, name in enumerate(("a", "b")))
    found = acclimate.diagnose(dark, bright, page=tmp_path / "page.html")
    assert found.kind == "images"
    assert found.of("domains")
    assert "Acclimate" in (tmp_path / "page.html").read_text("utf-8")


def _means(domain):
    return np.array([domain.images.read(i).mean((0, 1)) for i in range(len(domain))])


def test_a_run_of_numbers_is_compared_by_features_alone(finished_regression, tmp_path):
    tables = samples.prices(tmp_path / "a.csv"), samples.prices(tmp_path / "b.csv", shift=2, seed=3)
    found = acclimate.diagnose(*tables, model=finished_regression)
    assert found.of("column")[0].name == "area"
    assert any("predicts numbers" in text for text in found.unknown)


def test_another_spelling_of_a_class_is_told():
    x, y = samples.shifted(40)
    labelled = (x, np.where(y == 1, "Big cat", "dog"))
    found = acclimate.diagnose(
        (x, np.where(y == 1, "big_cat", "dog")), samples.shifted(40, seed=1)[0], target_labels=labelled
    )
    assert found.faults[0].kind == "class names"


def test_labels_that_are_none_are_refused():
    with pytest.raises(BadInput, match="has no labels"):
        acclimate.diagnose(samples.shifted(40), samples.shifted(40)[0], target_labels=samples.shifted(40)[0])


def test_what_is_left_after_the_shares_is_tested():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 200)
    x, target = (
        rng.normal(size=(400, 2)) + 3 * y[:, None],
        rng.normal(size=(100, 2)) + 3 * (np.arange(100) < 20)[:, None],
    )
    assert rest_test(x, y, np.array([0.8, 0.2]), target).p > 0.05
    assert rest_test(x, y, np.array([0.2, 0.8]), target).p < 0.001
    assert rest_test(x[:20], y[:20], np.array([0.5, 0.5]), target) is None


def test_a_class_of_no_example_leaves_none():
    assert len(with_shares(np.zeros(9, int), np.array([0.5, 0.5]))) == 0


def test_harm_to_the_model_of_a_run_comes_first(run):
    x, _ = samples.shifted(200, seed=1)
    far = acclimate.diagnose(samples.shifted(400, seed=7), x[x[:, 0] > 0] + np.float32([0, 9, 0, 0]), model=run)
    assert [one.name for one in far.of("harm")] == ["the Run's model"]
    assert "the Run's model" in far.lines()[len(far.faults)]
    assert far.lines()[len(far.faults) + 1].startswith("The Run ")


def test_labels_of_the_source_stand_in_for_a_model():
    [harm] = acclimate.diagnose(samples.shifted(200), samples.shifted(200, seed=4)[0]).of("harm")
    assert "a linear model of the source's labels (accuracy" in harm.sentence


def test_without_labels_or_a_run_harm_is_unknown():
    found = acclimate.diagnose(samples.shifted(60)[0], samples.shifted(60, seed=1)[0])
    assert any(text.startswith("harm to a model: it takes a Run") for text in found.unknown)


def test_turned_labels_of_the_target_are_concept_drift(run):
    x, y = samples.shifted(300, seed=3)
    turned = np.where(x[:, 2] > x[:, 2].mean(), 1 - y, y)
    found = acclimate.diagnose(samples.shifted(400, seed=7), x, model=run, target_labels=(x, turned))
    [drift] = found.of("concept")
    assert drift.sentence.startswith("Concept drift: ")
    assert "is right on" in found.accuracy


@pytest.mark.slow
def test_the_same_labels_are_no_concept_drift():
    labelled = samples.shifted(300, seed=5)
    [drift] = acclimate.diagnose(samples.shifted(300), labelled[0], target_labels=labelled).of("concept")
    assert not drift.level
