"""The page of a Run that predicts numbers."""

import json
import re

import numpy as np
import pytest
from pages import words

from acclimate.recipe import DomainSpec, Recipe
from acclimate.report import plots, write_report
from acclimate.report.disagreements import gap, select_gaps
from acclimate.runs.finding import UNKNOWN
from acclimate.runs.outputs import NumberOutputs

DOMAINS = {"source": DomainSpec(path="a"), "target": DomainSpec(path="b")}
RECIPE = Recipe(**DOMAINS, method="dann", backbone="mlp", task="regression")


def outputs(*predicted):
    nothing = np.empty((0, 2))
    names = [str(i) for i in range(len(predicted))]
    return NumberOutputs(names, np.array(predicted, dtype=float), np.empty(0, dtype=np.int64), nothing, None, RECIPE)


def test_three_errors_when_scored(numbers):
    told, error = words(numbers), r"[\d.,]+ ± [\d.,]+ mean absolute error"
    for heading in "Source, validation", "Target, source-only":
        assert re.search(rf"{heading} .*?{error} RMSE [\d.,]+ R² −?\d", told)
    change = r"(Change|No clear change) [+−]?[\d.,]+ to [+−]?[\d.,]+"
    assert re.search(rf"Target, adapted .*?{error} {change} RMSE [\d.,]+ R² −?\d", told)


def test_it_says_that_nothing_is_known_without_labels(unscored_numbers):
    told = words(unscored_numbers)
    assert UNKNOWN in told
    assert "not scored no labels given" in told
    assert "Estimate without labels" not in told


def test_nothing_is_said_of_classes(numbers):
    told = words(numbers)
    assert "classes" not in told.split("Recipe")[0]
    assert "accuracy" not in told


def test_the_two_models_are_compared_example_by_example(numbers):
    assert re.search(r"On the 40 target examples, the predictions differ by [\d.]+ on average", words(numbers))
    assert re.search(r"closer to the truth on \d+, the source-only model on \d+", words(numbers))


def test_the_baseline_alone_is_shown_alone(unscored_numbers):
    told = words(unscored_numbers)
    assert "Target, adapted" not in told
    assert "Differences between the models" not in told
    assert "Predicted against true" not in told


def test_drawn_again_it_is_the_same(numbers, copy):
    run = copy(numbers)
    before = run.file("report.html").read_bytes()
    assert write_report(run).read_bytes() == before


def test_the_gap_is_a_mean_and_a_count_of_who_is_nearer():
    found = gap(outputs(1, 2, 3, 4), outputs(2, 2, 5, 0), np.array([2, 2, 3, 4]))
    assert (found.examples, found.mean, found.after_closer, found.before_closer) == (4, 1.75, 1, 2)


def test_the_rows_that_differ_most_come_first():
    assert select_gaps(outputs(1, 2, 3, 4), outputs(2, 2, 5, 0), np.array([0, 1, 2]), 2) == [2, 0]


def test_a_histogram_has_all_examples_of_a_series():
    series = {"source": np.r_[np.arange(100.0), 1e6], "adapted": np.zeros(7)}
    drawn = plots.histogram(series)["views"]["all"]["data"]
    assert [sum(trace["y"]) for trace in drawn] == pytest.approx([1, 1], abs=1e-4)


def test_numbers_that_are_all_the_same_are_drawn():
    figure = plots.histogram({"source_only": np.full(5, 3.0)})
    assert json.loads(json.dumps(figure, allow_nan=False)) == figure


def test_maps_have_each_point_once_in_each_view():
    views = plots.feature_map_of_numbers(np.arange(10.0).reshape(5, 2), 2, np.arange(5.0), (0.0, 4.0))["views"]
    for view in views.values():
        assert sorted(row for trace in view["data"] for row in trace["customdata"]) == [0, 1, 2, 3, 4]
    assert [trace["marker"]["color"] for trace in views["value"]["data"]] == [[2, 3, 4], [0, 1]]
