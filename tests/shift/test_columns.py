"""Tests of single columns and words."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency

from acclimate.shift import columns


def one(source, target):
    [found] = columns.column_tests(pl.DataFrame({"c": source}), pl.DataFrame({"c": target}))
    return found


def test_a_moved_mean_is_told_in_standard_deviations():
    rng = np.random.default_rng(0)
    found = one(rng.normal(10, 2, 500), rng.normal(11, 2, 500))
    assert found.effect == pytest.approx(0.5, abs=0.1)
    assert found.p < 1e-6
    assert "mean up by 0.47 standard deviations (9.95 → 10.9)" in found.text


def test_a_wider_spread_is_found_where_the_mean_stays():
    rng = np.random.default_rng(0)
    found = one(rng.normal(0, 1, 500), rng.normal(0, 3, 500))
    assert abs(found.effect) > 0.4
    assert "changes shape" in found.text


def test_values_are_compared_by_chi_square():
    found = one(["a"] * 30 + ["b"] * 70, ["a"] * 60 + ["b"] * 40)
    assert found.p == pytest.approx(chi2_contingency([[70, 30], [40, 60]], correction=False).pvalue)
    assert "30% of the rows" in found.text
    assert found.bars.names == ("b", "a")


def test_rare_values_alone_find_nothing():
    each_once = np.concatenate([[[100], [100]], np.eye(2, dtype=int).repeat(8, 1)], 1)
    assert columns.chi_square(each_once) == (0, 1)


def test_missing_entries_have_a_test_of_their_own():
    values = np.arange(100.0)
    found = list(
        columns.column_tests(pl.DataFrame({"c": values}), pl.DataFrame({"c": [None] * 40 + list(values[40:])}))
    )
    assert [test.name for test in found] == ["c, missing", "c"]
    assert "0% of the source and 40% of the target" in found[0].text


def test_words_are_compared_by_their_shares():
    [found] = columns.word_tests(np.array([[0.3], [0.6]]), (100, 100), ["book"])
    assert found.p == pytest.approx(chi2_contingency([[30, 70], [60, 40]], correction=False).pvalue)


def test_columns_of_one_distribution_raise_few_false_alarms():
    rng = np.random.default_rng(0)
    p = [columns.number_test("c", rng.normal(size=60), rng.normal(size=80)).p for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) < 0.07


def test_bars_are_shares():
    bars = columns.number_bars(np.arange(100.0), np.arange(50.0, 150.0))
    assert sum(bars.source) == pytest.approx(1, abs=0.001)
    assert len(bars.names) == len(bars.target) == columns.BARS


def test_columns_of_nothing_but_lists_or_one_value_are_left_alone():
    assert list(columns.column_tests(pl.DataFrame({"c": [[1], [2]]}), pl.DataFrame({"c": [[1], [2]]}))) == []
    assert one([1.0] * 9, [1.0] * 9).p == 1
