"""Examples that two domains share, whatever their paths: nothing is trained, since a plan tells."""

import logging
import shutil

import numpy as np
import pytest
import samples
from samples import shifted

from acclimate import labels
from acclimate.errors import BadInput
from acclimate.workflows.options import Request
from acclimate.workflows.plan import make_plan

X, Y = shifted()
XT, YT = shifted(shift=2, seed=1)
LEARNT = "examples are also in the {}.*, whose labels are learnt from"


def plan_of(source, target, **options):
    return make_plan(source, target, Request(method="source_only", **options))


@pytest.fixture
def folders(tmp_path):
    return tuple(samples.images(tmp_path / name, each=10, seed=i) for i, name in enumerate(("source", "target")))


def warnings(caplog):
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_scores_on_a_copy_of_the_source_are_refused(folders, tmp_path):
    shutil.copytree(folders[0], tmp_path / "copy")
    with pytest.raises(BadInput, match=r"score: 20 of 20 " + LEARNT.format("source")):
        plan_of(*folders, score=tmp_path / "copy")


def test_scores_that_rest_in_part_on_the_source_are_refused(folders):
    shutil.copy(folders[0] / "cat/0.png", folders[1] / "cat/other.png")
    with pytest.raises(BadInput, match=r"score: 1 of 21 " + LEARNT.format("source")):
        plan_of(*folders, score=folders[1])


def test_few_of_many_are_told(caplog):
    score = np.vstack([XT, X[:2]]), np.r_[YT, Y[:2]]
    plan_of((X, Y), XT, score=score)
    assert "score: 2 of 202 examples are also in the source" in warnings(caplog)


def test_a_column_of_the_label_does_not_make_rows_differ(tmp_path):
    source = samples.table(tmp_path / "s.csv", age=range(12))
    copy = samples.table(tmp_path / "c.csv", age=range(12), sick=["no", "yes"] * 6)
    with pytest.raises(BadInput, match=r"score: 12 of 12 " + LEARNT.format("source")):
        plan_of(source, samples.table(tmp_path / "t.csv"), score=copy, label="sick")


def test_scores_that_rest_on_labels_of_the_target_are_refused():
    with pytest.raises(BadInput, match=r"score: 20 of 200 " + LEARNT.format("labelled target")):
        plan_of((X, Y), XT, score=(XT, YT), target_labels=(XT[:20], YT[:20]))


def test_labels_of_the_target_that_are_the_source_are_refused():
    with pytest.raises(BadInput, match="target_labels: has the same examples as the source"):
        plan_of((X, Y), XT, target_labels=(X.copy(), Y))


def test_the_target_may_be_scored_and_have_labels_that_are_learnt(caplog):
    plan_of((X, Y), XT, score=(XT[20:], YT[20:]), target_labels=(XT[:20], YT[:20]))
    assert not warnings(caplog)


def test_a_source_that_contains_the_target_is_told(caplog):
    plan_of((np.vstack([X, XT]), np.r_[Y, YT]), XT)
    assert warnings(caplog) == ["target: 200 of 200 examples are also in the source"]


def test_a_target_that_is_the_source_is_told(caplog):
    plan_of((X, Y), X.copy())
    assert warnings(caplog) == ["target: has the same examples as the source, so there is nothing to adapt to"]


@pytest.mark.parametrize("spelt", ["relative", "home", "link"])
def test_the_source_is_known_however_its_path_is_spelt(folders, tmp_path, monkeypatch, spelt):
    monkeypatch.chdir(tmp_path / "target")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to(folders[0])
    paths = {"relative": "../source", "home": "~/source", "link": tmp_path / "link"}
    with pytest.raises(BadInput, match="score: is the source itself, whose labels are learnt from"):
        plan_of(*folders, score=paths[spelt])


def test_label_curves_are_not_scored_on_what_labels_are_drawn_from():
    with pytest.raises(BadInput, match=r"score: 100 of 100 " + LEARNT.format("labelled target")):
        labels((X, Y), (XT, YT), score=(XT[:100], YT[:100]), strategies=["source_only"], seeds=1)


def test_the_source_of_a_run_is_refused_too(finished_run, tmp_path):
    source = samples.arrays(tmp_path / "again.npz")
    shutil.copy(source, tmp_path / "copy.npz")
    x = np.load(source)["x"]
    with pytest.raises(BadInput, match=r"score: is the source of .*, whose labels are learnt from"):
        make_plan(finished_run, x, Request(method="shot", score=tmp_path / "copy.npz"))
