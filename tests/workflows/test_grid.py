"""What is compared."""

import pytest
import samples
from samples import shifted

from acclimate.errors import BadInput
from acclimate.workflows.compare.grid import adapt_options, base_recipe, make_grid, plan_all
from acclimate.workflows.options import CompareRequest, Request
from acclimate.workflows.plan import make_plan


def grid(source=None, **given):
    request = CompareRequest(**{"steps": 2, **given})
    planned = plan_all(source or shifted(), shifted(seed=1)[0] if source is None else source, request)
    return make_grid(planned, planned.first), request


def test_all_methods_that_suit_vectors_are_compared():
    made, _ = grid()
    methods = {setting.method for setting in made.settings.values()}
    assert {"source_only", "mcc", "dann", "shot", "coral", "tca"} <= methods
    assert "supervised" not in methods
    assert made.reference.name == "source_only"


@pytest.mark.parametrize("method", ["dann", "shot", "mcc", "coral"])
def test_the_source_only_model_beside_a_method_is_that_of_source_only_with_its_start_options(method):
    made, _ = grid(methods=[method])
    given = {"method": "source_only", "steps": 2} if method != "coral" else {"method": "source_only"}
    given |= {"backbone": "linear"} if method == "coral" else {}
    given |= {"settings": {"label_smoothing": 0.1}} if method == "shot" else {}
    plan = make_plan(shifted(), shifted(seed=1)[0], Request(**given, seeds=3))
    assert base_recipe(made.settings[method].plan.recipe) == plan.recipe


def test_a_setting_is_the_recipe_of_adapt_with_its_options():
    made, request = grid(methods=["mcc", "nrc", "coral"], settings={"temperature": 2.0, "backbone.hidden": 20})
    for name in ("mcc", "mcc weight=0.3", "nrc lr=0.0003", "coral"):
        setting = made.settings[name]
        plan = make_plan(shifted(), shifted(seed=1)[0], Request(**adapt_options(request, setting)))
        assert plan.recipe.model_dump() == setting.plan.recipe.model_dump()
    assert made.settings["mcc weight=0.3"].plan.recipe.options == {"temperature": 2.0, "weight": 0.3}


def test_a_weight_that_is_given_is_what_is_reduced():
    made, _ = grid(methods=["mcc", "dann"], settings={"weight": 0.5})
    assert {name for name, one in made.settings.items() if one.method == "dann"} == {"dann", "dann weight=0.15"}


def test_linear_methods_alone_are_compared_with_the_linear_model():
    made, _ = grid(methods=["coral", "tca"], steps=None)
    assert list(made.settings) == ["source_only", "coral", "tca"]
    assert not made.reference.plan.recipe.trains_a_network


def test_a_method_that_does_not_suit_the_data_is_left_out_unless_it_is_named(tmp_path):
    source = samples.images(tmp_path / "source", each=8)
    made, _ = grid(source)
    assert "before a linear model, is for vectors" in made.left_out["coral"]
    assert {"mcc", "vada", "nrc"} <= made.settings.keys()
    with pytest.raises(BadInput, match="before a linear model, is for vectors"):
        grid(source, methods=["coral", "mcc"])


def test_a_wrong_setting_is_refused_and_leaves_out_no_method():
    with pytest.raises(BadInput, match="option weight='abc' is invalid"):
        grid(settings={"weight": "abc"})
