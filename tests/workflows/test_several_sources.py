"""Several sources as one: what a plan tells of them, and a Run that keeps them."""

import logging
import shutil

import numpy as np
import pages
import polars as pl
import pytest
import samples
from samples import shifted

from acclimate import adapt, labels
from acclimate.data import load
from acclimate.data.digests import digest
from acclimate.errors import BadInput
from acclimate.run_folder import RunFolder
from acclimate.runs.run import Run
from acclimate.workflows.audit import audit
from acclimate.workflows.options import Request
from acclimate.workflows.plan import make_plan


@pytest.fixture
def folders(tmp_path):
    """Two sources and a target; the second source has a class more."""
    first = samples.images(tmp_path / "photo", each=10, seed=1)
    second = samples.images(tmp_path / "art", ("cat", "dog", "owl"), each=10, seed=2)
    return first, second, samples.images(tmp_path / "target", each=10, seed=3)


def plan_of(source, target, **options):
    return make_plan(source, target, Request(method="source_only", **options))


def warnings(caplog):
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_the_recipe_has_each_source_with_its_size_and_hash(folders):
    *sources, target = folders
    recipe = plan_of(",".join(map(str, sources)), target).recipe
    assert recipe.source.path == f"{sources[0]},{sources[1]}"
    assert [(one.path, one.n) for one in recipe.sources] == [(str(sources[0]), 20), (str(sources[1]), 30)]
    assert recipe.sources[1].digest == digest(load(sources[1]))
    assert recipe.classes == ("cat", "dog", "owl")


def test_a_single_source_is_no_list(folders):
    assert plan_of(folders[0], folders[2]).recipe.sources == plan_of([folders[0]], folders[2]).recipe.sources == ()


def test_a_class_that_one_source_lacks_is_told(folders, caplog):
    *sources, target = folders
    plan_of(sources, target)
    assert warnings(caplog) == [f"{sources[0]}: has no example of class 'owl'; the other sources have"]


def test_examples_in_two_sources_are_told_once(folders, caplog):
    first, second, target = folders
    shutil.copytree(first / "cat", second / "cat", dirs_exist_ok=True)
    shutil.rmtree(second / "owl")
    plan_of([first, second], target)
    told = warnings(caplog)
    assert len(told) == 1
    assert told[0].startswith(f"{second}: 10 of 20 examples are also in another source")


def test_scores_on_a_copy_of_one_source_are_refused(folders, tmp_path):
    *sources, target = folders
    shutil.copytree(sources[1], tmp_path / "copy")
    with pytest.raises(BadInput, match=r"score: 30 of 30 examples are also in the source"):
        plan_of(sources, target, score=tmp_path / "copy")
    with pytest.raises(BadInput, match=r"score: is the source itself"):
        plan_of(sources, target, score=sources[1])


def test_a_source_that_is_given_twice_is_refused(folders):
    with pytest.raises(BadInput, match=f"{folders[0]}/: is given twice"):
        plan_of([folders[0], folders[1], f"{folders[0]}/"], folders[2])


def test_a_run_among_several_sources_is_refused(finished_run, folders):
    for sources in ([finished_run, folders[0]], f"{folders[0]},{finished_run}"):
        with pytest.raises(BadInput, match="is a Run, which can only be the source by itself"):
            adapt(sources, folders[2])


def test_the_validation_split_has_a_share_of_each_class_of_each_source():
    sources = [shifted(n, seed=seed) for seed, n in enumerate((40, 200))]
    plan = plan_of(sources, shifted(seed=3)[0])
    held = plan.held(0)
    codes = plan.source.codes(plan.recipe.classes)[held]
    assert np.bincount(2 * plan.source.origin[held] + codes).tolist() == [2, 2, 10, 10]


def test_numbers_of_several_sources_are_learnt(tmp_path):
    sources = [samples.prices(tmp_path / f"{i}.csv", seed=i) for i in range(2)]
    plan = plan_of(sources, samples.prices(tmp_path / "t.csv", seed=2), label="price")
    held = plan.source.origin[plan.held(0)]
    assert plan.recipe.task == "regression"
    assert np.bincount(held).tolist() == [6, 6]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Run of two parts of one table and of another table, whose command is that of the command line."""
    folder = tmp_path_factory.mktemp("several")
    sites = folder / "sites.csv"
    parts = [samples.rows().with_columns(site=pl.lit(site)) for site in ("va", "ohio")]
    pl.concat([parts[0], parts[1].with_columns(pl.col("age") + 0.5)]).write_csv(sites)
    other = samples.table(folder / "b.csv", age=[21.0 + 3 * i for i in range(12)])
    target = samples.table(folder / "t.csv", age=[22.0 + 3 * i for i in range(12)])
    source = f"{sites}#site=va,{sites}#site=ohio,{other}"
    return adapt(source, target, folder / "run", label="sick", steps=3), folder, source, target


def test_a_run_keeps_the_command_and_resumes_as_it_is(run):
    made, folder, source, target = run
    assert f"acclimate adapt '{source}' {target} -o {folder / 'run'}" in RunFolder(made.path).environment["command"]
    before = made.file("scores.json").read_bytes()
    again = adapt(source.split(","), target, folder / "run", label="sick", steps=3, resume=True)
    assert again.file("scores.json").read_bytes() == before


def test_a_run_of_other_sources_does_not_resume(run):
    made, _, source, target = run
    with pytest.raises(BadInput, match=r"cannot resume: source .*, but the Run was made with"):
        adapt(source.rpartition(",")[0], target, made.path, label="sick", steps=3, resume=True)


def test_the_columns_that_select_rows_are_no_features_of_later_examples(run):
    made, folder, *_ = run
    assert len(made.predict(folder / "sites.csv")) == 24
    assert made.evaluate(folder / "sites.csv")["n"] == 24


def test_the_report_names_each_source_with_its_size(run):
    made, folder, *_ = run
    text = pages.words(made)
    name = folder.name
    for told in (
        f"{name}/sites.csv#site=va (12 examples)",
        f"{name}/sites.csv#site=ohio (12 examples)",
        f"{name}/b.csv (12 examples)",
    ):
        assert told in text


def test_an_audit_on_one_of_the_sources_is_refused(run):
    made, folder, *_ = run
    with pytest.raises(BadInput, match="is one of the sources"):
        audit(Run.open(made.path), folder / "b.csv")


def test_label_curves_pool_sources(tmp_path):
    sources = [shifted(40, seed=seed) for seed in range(2)]
    found = labels(sources, shifted(40, shift=1, seed=2), tmp_path / "x", per_class=[2], steps=2, seeds=1,
                   strategies=["source_only"])  # fmt: skip
    assert found.found["sources"] == {"source 1": 40, "source 2": 40}
    assert "source 1 and source 2" in (tmp_path / "x/labels.html").read_text("utf-8")
