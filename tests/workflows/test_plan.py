"""Decisions before training: they are in the plan, so nothing is trained here."""

import numpy as np
import pytest
import samples
from samples import shifted

from acclimate.errors import BadInput
from acclimate.runs.run import Run
from acclimate.workflows.options import Request
from acclimate.workflows.plan import make_plan


def plan_of(source=None, target=None, **options):
    return make_plan(source or shifted(), shifted(shift=2)[0] if target is None else target, Request(**options))


def test_augmentation_is_recorded_for_the_domains_that_are_learnt_from():
    both = plan_of(method="mcc", augment="noise", settings={"augment.target": "none"}).recipe.augment
    one = plan_of(method="source_only", augment="noise").recipe.augment
    assert (both.source, both.target) == (one.source, one.target) == ("noise", "none")
    default = plan_of(method="mcc", augment="noise").recipe.augment
    assert (default.source, default.target) == ("noise", "noise")


@pytest.mark.parametrize(("asked", "size"), [({}, 224), ({"image_size": 32}, 32)])
def test_a_pretrained_backbone_gets_the_images_it_was_trained_on_unless_told_otherwise(tmp_path, asked, size):
    folder = samples.images(tmp_path / "images")
    plan = plan_of(folder, folder, method="source_only", backbone="efficientnet_lite0", **asked)
    assert (plan.fitted.size, plan.fitted.interpolation) == (size, "bicubic")
    assert plan.read(plan.source).batch(np.arange(1)).shape[-2:] == (size, size)


@pytest.mark.parametrize(("size", "backbone"), [(64, "cnn"), (72, "efficientnet_lite0")])
def test_larger_images_get_a_pretrained_backbone_without_asking(tmp_path, size, backbone):
    folder = samples.images(tmp_path / "images", size=80)
    assert plan_of(folder, folder, method="source_only", image_size=size).recipe.backbone == backbone


def test_of_a_run_the_first_source_free_method_is_auto_and_python_takes_the_object(finished_run):
    for run in (finished_run, Run.open(finished_run)):
        plan = plan_of(run, shifted()[0], method="auto")
        assert (plan.recipe.method, plan.recipe.origin) == ("shot", str(finished_run))
        assert plan.source is None


def test_labels_of_the_target_do_not_reach_the_plan():
    x, y = shifted(shift=2)
    assert plan_of(target=(x, y)).target.labels is None
    assert plan_of(target=(x, np.full(len(x), np.nan))).target.labels is None


def test_a_target_with_a_partly_filled_column_of_labels_is_planned_for(tmp_path):
    target = samples.table(tmp_path / "target.csv", sick=["yes", None, "", *["?"] * 9])
    plan = plan_of(samples.table(tmp_path / "source.csv"), target, label="sick", method="source_only")
    assert plan.target.table.columns == ["age", "town"]


def test_a_column_that_selects_rows_may_be_dropped_in_every_domain(tmp_path):
    table, other = (samples.table(tmp_path / f"{name}.csv", site=["a", "b", "a"] * 4) for name in ("table", "other"))
    plan = plan_of(f"{table}#site=a", other, score=f"{other}#site=b", label="sick", drop=["site"], method="source_only")
    assert plan.target.table.columns == ["age", "town"]


def test_predict_does_not_read_labels(finished_run):
    x, y = shifted()
    run = Run.open(finished_run)
    assert run.predict((x, np.full(len(x), np.nan))).equals(run.predict((x, y)))


@pytest.mark.parametrize(("asked", "share"), [({}, 0.01), ({"max_bad": "12.5%"}, 0.125), ({"max_bad": "0"}, 0)])
def test_the_share_of_broken_images_is_recorded(asked, share):
    assert plan_of(method="source_only", **asked).recipe.source.max_bad == share


def test_a_broken_image_is_left_out_of_every_domain_unless_that_is_refused(tmp_path):
    domains = [samples.images(tmp_path / str(i), each=5, seed=i) for i in range(3)]
    for folder in domains:
        (folder / "cat/2.png").write_bytes(b"broken")
    given = {"method": "source_only", "score": domains[2]}
    plan = plan_of(*domains[:2], max_bad="10%", **given)
    assert [len(plan.source), len(plan.target), plan.recipe.score.n, len(plan.score())] == [9] * 4
    with pytest.raises(BadInput, match=r"cat/2.png: not a readable image"):
        plan_of(*domains[:2], max_bad="10%", strict=True, **given)


@pytest.mark.parametrize("share", ["many", "-1%", "100%", "nan"])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(BadInput, match=f"max_bad: '{share}' is not a share"):
        plan_of(method="source_only", max_bad=share)
