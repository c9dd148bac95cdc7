"""All that can be named, as the code says it."""

import inspect

import pytest

from acclimate import finetune, methods
from acclimate.methods import selfsup, shallow, testtime
from acclimate.shift import label_shift
from acclimate.workflows.catalogue import catalogue, flag_of, label_shift_names

NAMED = [named for _, members in catalogue() for named in members]


def test_everything_that_an_option_takes_is_listed():
    families = (methods, selfsup, shallow, testtime, finetune)
    expected = {name for family in families for name in family.names()} | set(label_shift.ESTIMATORS)
    assert {named["name"] for named in NAMED} == expected
    assert label_shift_names() == sorted(label_shift.ESTIMATORS)


@pytest.mark.parametrize("named", NAMED, ids=lambda named: named["name"])
def test_each_tells_what_it_does_when_to_use_it_and_what_it_needs(named):
    assert named["does"].endswith(".")
    assert named["when"].endswith(".")
    assert named["needs"]
    assert not {"`", "\\"} & set(named["does"] + named["when"])


@pytest.mark.parametrize("name", [*methods.names(), *selfsup.names()])
def test_what_a_method_needs_is_what_its_class_says(name):
    kind = methods.get(name) if name in methods.names() else selfsup.get(name)
    [named] = (named for named in NAMED if named["name"] == name)
    expected = {"source or run", "target"} if kind.starts_from else set(kind.needs)
    assert set(named["needs"]) == expected


@pytest.mark.parametrize("named", [n for n in NAMED if "label-shift" in n["flag"]], ids=lambda n: n["name"])
def test_options_of_an_estimator_are_its_keyword_arguments(named):
    parameters = inspect.signature(label_shift.get(named["name"])).parameters.values()
    assert named["options"] == {p.name: repr(p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("name", "flag"),
    {"em": "predict --label-shift", "LAME": "predict --test-time", "byol": "--pretrain", "mnist": "--backbone"}.items(),
)
def test_a_name_leads_to_its_option(name, flag):
    assert flag_of(name) == flag
