"""Likely mistakes in the data of two domains."""

import numpy as np
import polars as pl
import pytest

from acclimate.data.source import as_domain
from acclimate.shift import faults

RNG = np.random.default_rng(0)


def table(source, target):
    return {(one.kind, one.name) for one in faults.table_faults(pl.DataFrame(source), pl.DataFrame(target))}


def kinds(source, target):
    return [one.kind for one in faults.faults(as_domain(source, name="s"), as_domain(target, name="t"))]


@pytest.mark.parametrize("factor", [100, 2.54, 1 / 1000, 1 / 38.67])
def test_a_changed_unit_is_told(factor):
    heights = RNG.normal(170, 10, (2, 200))
    assert table({"h": heights[0]}, {"h": heights[1] * factor}) == {("units", "h")}


@pytest.mark.parametrize("moved", [RNG.normal(200, 10, 200), RNG.normal(320, 60, 200), RNG.gamma(2, 300, 200)])
def test_a_shift_is_no_changed_unit(moved):
    assert table({"h": RNG.normal(170, 10, 200)}, {"h": moved}) == set()


def test_a_missing_column_is_told_with_the_one_that_may_be_meant():
    found = list(faults.table_faults(pl.DataFrame({"Age": [1], "a": [1]}), pl.DataFrame({"age": [1], "a": [1]})))
    assert [(one.kind, one.name) for one in found] == [("missing column", "Age"), ("missing column", "age")]
    assert "is it 'age'?" in found[0].text


def test_values_of_the_target_alone_are_told_with_their_spelling():
    found = table({"c": ["a b", "x"] * 20}, {"c": ["A_B", "x", "new"] * 10})
    assert found == {("spelling", "c"), ("unseen values", "c")}


def test_names_are_new_by_nature():
    assert table({"id": [f"s{i}" for i in range(20)]}, {"id": [f"t{i}" for i in range(20)]}) == set()


def test_a_zero_among_large_numbers_may_stand_for_a_missing_one():
    values = RNG.normal(240, 30, 100)
    assert table({"chol": values}, {"chol": np.where(np.arange(100) < 30, 0, values)}) == {("stand-in", "chol")}
    assert table({"n": RNG.integers(0, 2, 100)}, {"n": np.ones(100)}) == set()


def test_empty_columns_and_other_types_are_told():
    empty = pl.Series("a", [None] * 3, dtype=pl.Float64)
    found = table({"a": [1.0, 2, 3], "b": [1, 2, 3]}, {"a": empty, "b": ["x", "y", "z"]})
    assert found == {("empty column", "a"), ("type", "b")}


def test_repeated_examples_are_told():
    x = RNG.normal(size=(30, 3))
    assert kinds(x, np.concatenate([x[:5], RNG.normal(size=(20, 3))])) == ["repeated"]
    assert kinds(x, x) == ["repeated"]


def test_sizes_and_colours_of_images_are_told():
    grey, coloured = RNG.integers(0, 255, (4, 16, 16)), RNG.integers(0, 255, (4, 64, 64, 3))
    assert kinds(grey.astype(np.uint8), coloured.astype(np.uint8)) == ["size", "colour"]


def test_class_names_that_differ_by_spelling_are_told():
    assert [one.kind for one in faults.class_faults(["Coffee_Mug", "pen"], ["coffee mug", "pen", "cup"])] == [
        "class names"
    ]
    assert list(faults.class_faults(["a"], ["a", "b"])) == []
