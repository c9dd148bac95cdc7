"""A comparison on several sources: pooled, each alone, and the ensemble over them."""

import json

import numpy as np
import pytest
from samples import shifted

import acclimate
from acclimate.data import Domain
from acclimate.data.source import as_domain
from acclimate.validators.selection import Row
from acclimate.workflows.compare import workflow
from acclimate.workflows.compare.grid import adapt_options, make_grid, plan_all
from acclimate.workflows.compare.over_sources import TEMPERATURE, over_sources
from acclimate.workflows.options import CompareRequest
from acclimate.workflows.plan import make_plan

TARGET = shifted(shift=2, seed=9)
FEW = {"methods": ["mcc"], "seeds": 1, "steps": 3}


def source(name, seed, n=200) -> Domain:
    return as_domain(shifted(n, seed=seed), name=name)


def with_a_class_more() -> Domain:
    x, y = shifted(seed=5)
    return as_domain((x, np.where(np.arange(200) < 20, 2, y)), name="c")


def grid(sources, **given):
    request = CompareRequest(**{"steps": 2, **given})
    planned = plan_all(sources, TARGET[0], request)
    return make_grid(planned, planned.first), request


def test_every_setting_is_trained_on_all_sources_and_on_each_alone():
    made, _ = grid([source("a", 1), source("b", 2)], methods=["shot"])
    usual, _ = grid(source("a", 1), methods=["shot"])
    names = [f"{name}{on}" for on in ("", " on a", " on b") for name in usual.settings]
    assert list(made.settings) == names
    assert made.settings["shot on b"].base is not None
    assert made.settings["shot on b"].base.name == "source_only label_smoothing=0.1 on b"
    assert made.reference_of(made.settings["shot on b"]).name == "source_only on b"


def test_a_setting_on_one_source_is_the_recipe_of_adapt_on_it():
    made, request = grid([source("a", 1), source("b", 2)], methods=["mcc", "coral"])
    for name in ("mcc weight=0.3 on b", "coral on b", "source_only on b"):
        setting = made.settings[name]
        plan = make_plan(source("b", 2), TARGET[0], adapt_request(request, setting))
        assert plan.recipe.model_dump() == setting.plan.recipe.model_dump()


def adapt_request(request, setting):
    from acclimate.workflows.options import Request

    return Request(**adapt_options(request, setting))


def test_a_source_that_lacks_classes_is_not_compared_alone():
    made, _ = grid([source("a", 1), with_a_class_more()], methods=["mcc"])
    assert made.left_out == {"a alone": "has no example of class '2', which other sources have"}
    assert {setting.source for setting in made.settings.values()} == {"", "c"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A comparison whose choice is a model of one source alone."""
    usual = workflow.choose
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workflow, "choose", lambda *given: usual(*given)._replace(name="mcc on b"))
        folder = tmp_path_factory.mktemp("sources") / "compared"
        return acclimate.compare([source("a", 1), source("b", 2)], TARGET[0], folder, score=TARGET, **FEW)


def test_the_ensemble_over_the_sources_has_models_of_each_source_alone_and_a_score(made):
    of_kind = {row["name"]: row for row in made.found["ensembles"]}
    members = of_kind["sources"]["members"]["0"]
    assert {name.rpartition(" on ")[2] for name in members} == {"a", "b"}
    assert sum(members.values()) == pytest.approx(1, abs=1e-5)
    assert of_kind["sources"]["target"]["n"] == 200
    assert not any(" on " in name for name in of_kind["mean"]["members"]["0"])


def test_the_winner_is_the_run_that_adapt_leaves_of_one_source(made, tmp_path):
    run = acclimate.adapt(source("b", 2), TARGET[0], tmp_path / "run", method="mcc", steps=3, score=TARGET)
    assert made.winner.recipe == run.recipe
    assert made.winner.scores["target"] == run.scores["target"]


def test_the_file_and_the_page_tell_the_sources(made):
    found = json.loads((made.path / "compare.json").read_text("utf-8"))
    assert found["sources"] == {"a": 200, "b": 200}
    assert {row["name"]: row.get("source", "") for row in found["ranking"]}["mcc on a"] == "a"
    page = (made.path / "compare.html").read_text("utf-8")
    assert "a (200 examples), b (200 examples)" in page.replace("<wbr>", "")
    assert "Models of each source alone, weighted by their ranks" in page


def test_what_is_done_is_not_done_again(made):
    again = acclimate.compare([source("a", 1), source("b", 2)], TARGET[0], made.path, score=TARGET, resume=True, **FEW)
    assert again.found == made.found


def test_the_command_of_one_source_names_it_alone(tmp_path):
    paths = []
    for name, seed in (("a", 1), ("b", 2), ("t", 9)):
        x, y = shifted(40, seed=seed)
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
        paths.append(tmp_path / f"{name}.npz")
    made, request = grid(paths[:2], methods=["mcc"])
    for given in (paths[:2], f"{paths[0]},{paths[1]}"):
        command = workflow._command(given, paths[2], tmp_path, request, made.settings["mcc on b"])
        assert command.startswith(f"acclimate adapt {paths[1]} {paths[2]} -o")


def row(combined, rejected=""):
    return Row("m", rejected, {}, (), combined)


def test_weights_over_sources_grow_exponentially_with_the_rank():
    table = {"m": row(0.9), "m on a": row(0.7), "m on b": row(0.7 - TEMPERATURE), "n on b": row(np.nan, "collapsed")}
    weights = over_sources(table, {"m on a": "a", "m on b": "b", "n on b": "b"})["sources"]
    assert weights == {"m on a": pytest.approx(np.e / (np.e + 1)), "m on b": pytest.approx(1 / (np.e + 1))}


def test_models_of_one_source_are_no_ensemble_over_sources():
    table = {"m": row(0.9), "m on a": row(0.7), "m on b": row(np.nan, "collapsed")}
    assert over_sources(table, {"m on a": "a", "m on b": "b"}) == {}
