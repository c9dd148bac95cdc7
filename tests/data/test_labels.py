import logging

import numpy as np
import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from acclimate.data import load
from acclimate.data.arrays import from_arrays
from acclimate.data.labels import choose_task, in_units, learnt, scale_of, truth
from acclimate.errors import BadInput
from acclimate.recipe import DomainSpec, LabelScale, Recipe

FRACTIONS = np.arange(40) / 4
WHOLE = np.arange(40) % 7


def domain(y):
    return from_arrays(np.zeros((len(y), 2)), y, name="source")


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (FRACTIONS, "regression"),
        (np.arange(40), "regression"),
        (WHOLE, "classification"),
        (WHOLE.astype(float), "classification"),
        (np.array(["a", "b"] * 20), "classification"),
        (np.array(["1.5", "nan"] * 20), "classification"),
    ],
    ids=["fractions", "as many as examples", "whole", "whole floats", "words", "nan in words"],
)
def test_labels_look_like_classes_or_numbers(y, task):
    assert choose_task(domain(y), "auto") == task


def test_what_is_asked_for_is_taken():
    assert choose_task(domain(WHOLE), "regression") == "regression"
    assert choose_task(domain(FRACTIONS), "classification") == "classification"


@pytest.mark.parametrize(("y", "other"), [(FRACTIONS, "--task classification"), (WHOLE, "--task regression")])
def test_it_is_said_what_was_taken_and_how_to_say_otherwise(y, other, caplog):
    with caplog.at_level(logging.INFO, "acclimate"):
        choose_task(domain(y), "auto")
    assert other in caplog.text


def test_folders_are_classes_whatever_they_are_called(tmp_path):
    folders = load(samples.images(tmp_path, [f"{i}.5" for i in range(12)], each=1))
    assert choose_task(folders, "auto") == "classification"
    with pytest.raises(BadInput, match="folders are classes"):
        choose_task(folders, "regression")


def test_images_of_an_array_may_have_numbers():
    faces = from_arrays(np.zeros((40, 8, 8), np.uint8), FRACTIONS, name="faces")
    assert choose_task(faces, "auto") == "regression"


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e9, 1e9)))
def test_numbers_survive_their_way_as_text(y):
    np.testing.assert_array_equal(domain(y).numbers(), y)


@given(arrays(np.float64, st.integers(2, 30), elements=st.floats(-100, 100), unique=True))
def test_learnt_numbers_are_standardised_and_come_back_in_units(y):
    source = domain(y)
    if y.std() < 1e-3:
        return
    place = DomainSpec(path="")
    recipe = Recipe(
        source=place, target=place, method="dann", backbone="mlp", task="regression", **learnt(source, "regression")
    )
    standardised = truth(source, recipe)
    assert standardised.dtype == np.float32
    assert standardised.mean() == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(in_units(standardised.astype(np.float64), recipe.scale), y, atol=1e-3)


def test_units_are_those_of_the_labels():
    np.testing.assert_array_equal(in_units(np.array([-1.0, 2.0]), LabelScale(mean=10, std=5)), [5, 20])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["1.5", "two", "3"], "label 'two' in row 1 is not a number"),
        (["1.5", "inf", "3"], "label 'inf' in row 1 is not a number"),
        ([2.5, 2.5, 2.5], "every label is 2.5, so there is nothing to learn"),
        (None, "the source has no labels"),
    ],
)
def test_a_source_that_no_regression_can_learn_from_is_refused(y, message):
    with pytest.raises(BadInput, match=message):
        from_arrays(np.zeros((3, 2)), y, name="source").require_source("regression")


@pytest.mark.parametrize("y", [[1e300, -1e300], [1e308, 1e308], [1e-320, 2e-320]])
def test_labels_without_a_standard_deviation_are_refused(y):
    with pytest.raises(BadInput, match="cannot be standardised; give them in other units"):
        scale_of(from_arrays(np.zeros((2, 3)), np.array(y), name="source"))
