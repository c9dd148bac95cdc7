"""The options are described once."""

import inspect

import pytest

import acclimate
from acclimate.errors import BadInput
from acclimate.workflows import options
from acclimate.workflows.options import CompareRequest, LabelRequest, Request, parse_request


@pytest.mark.parametrize(
    ("described", "typed"),
    [
        (options.TrainingOptions, options.TrainingKeywords),
        (options.SharedOptions, options.SharedKeywords),
        (Request, options.AdaptKeywords),
        (LabelRequest, options.LabelKeywords),
        (CompareRequest, options.CompareKeywords),
    ],
)
def test_type_checkers_know_the_same_options(described, typed):
    assert set(described.model_fields) == set(typed.__annotations__)


@pytest.mark.parametrize(
    ("function", "kind"),
    [(acclimate.adapt, Request), (acclimate.labels, LabelRequest), (acclimate.compare, CompareRequest)],
)
def test_python_helps_with_every_option_and_its_default(function, kind):
    parameters = inspect.signature(function).parameters
    for name, field in kind.model_fields.items():
        assert parameters[name].default == field.default
        assert f"{name}: {field.description}" in function.__doc__


@pytest.mark.parametrize(
    ("command", "kind"), [("adapt", Request), ("labels", LabelRequest), ("compare", CompareRequest)]
)
def test_the_command_line_has_every_option(acclimate, command, kind):
    text = acclimate(command, "--help").out
    for name in set(kind.model_fields) - {"settings"}:
        assert f"--{name.replace('_', '-')} " in text


def test_every_option_has_a_description():
    for kind in (Request, LabelRequest, CompareRequest):
        assert all(field.description for field in kind.model_fields.values())


def test_an_unknown_option_is_told_with_the_nearest():
    with pytest.raises(BadInput, match="no option 'methd'; did you mean method"):
        parse_request(Request, {"methd": "dann"})


def test_a_value_of_another_type_is_told():
    with pytest.raises(BadInput, match="steps='many': input should be a valid integer"):
        parse_request(Request, {"steps": "many"})


def test_an_error_carries_the_options_name():
    with pytest.raises(BadInput, match=r"^seeds: 0 is too few; train at least one$") as caught:
        acclimate.adapt("source", "target", seeds=0)
    assert caught.value.field == "seeds"
    assert caught.value.message.startswith("--seeds: ")
