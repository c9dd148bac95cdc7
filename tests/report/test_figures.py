"""The figures and what they are drawn from."""

import json

import numpy as np
import polars as pl

from acclimate.recipe import DomainSpec, Recipe
from acclimate.report import plots
from acclimate.report.disagreements import select_disagreements, tally
from acclimate.report.losses import BINS, mean_curve, thin
from acclimate.runs.outputs import ClassOutputs

PLACE = DomainSpec(path="a")


def outputs(*predicted: int, sure: float = 0.8, k: int = 3) -> ClassOutputs:
    """A model that predicts these classes."""
    probabilities = np.full((len(predicted), k), (1 - sure) / (k - 1))
    probabilities[np.arange(len(predicted)), predicted] = sure
    nothing = np.empty((0, 2))
    names, classes = [str(i) for i in range(len(predicted))], tuple(map(str, range(k)))
    recipe = Recipe(source=PLACE, target=PLACE, method="dann", backbone="mlp", classes=classes)
    return ClassOutputs(names, probabilities, np.empty(0, dtype=np.int64), nothing, None, recipe)


def curve(values: list[float | None], seed: int = 0, name: str = "class", phase: str = "adapted") -> pl.DataFrame:
    """One curve as it stands in the log."""
    steps = range(1, len(values) + 1)
    return pl.DataFrame({"phase": phase, "seed": seed, "name": name, "step": steps, "value": values}, strict=False)


def test_disagreements_are_counted_by_who_is_right():
    found = tally(outputs(0, 1, 2, 0), outputs(0, 0, 1, 1), np.array([0, 0, 2, 2]))
    assert (found.examples, found.differ, found.after_right, found.before_right, found.neither) == (4, 3, 1, 1, 1)


def test_without_truth_nobody_is_right():
    assert tally(outputs(0, 1), outputs(1, 1), None).after_right is None


def test_every_pair_of_classes_is_shown_before_any_again():
    rows = select_disagreements(outputs(0, 0, 0, 2, 1), outputs(1, 1, 1, 1, 1), np.arange(5), 3)
    assert rows == [0, 3, 1]


def test_no_disagreement_no_examples():
    assert select_disagreements(outputs(0, 1), outputs(0, 1), np.arange(2), 5) == []


def test_curves_are_thinned_to_means():
    thinned = thin(curve([float(i) for i in range(1000)]))
    assert thinned.height <= BINS
    assert thinned["value"].mean() == np.mean([np.mean(c) for c in np.split(np.arange(999), 111)] + [999])


def test_each_phase_is_thinned_by_its_own_length():
    curves = thin(pl.concat([curve([1.0] * 1000, phase="pretrained", name="prediction"), curve([2.0] * 50)]))
    assert curves.filter(phase="adapted").height == 50


def test_a_loss_without_labels_is_a_figure_of_its_own():
    curves = thin(pl.concat([curve([1.0, 2.0], phase="pretrained", name="prediction"), curve([2.0, 1.0])]))
    drawn = plots.loss_curves(curves)
    assert set(drawn) == {"prediction", "class"}
    assert [t["line"]["color"] for t in drawn["prediction"]["views"]["all"]["data"]] == ["<low>"]


def test_what_is_not_finite_is_left_out():
    assert thin(curve([1.0, None, float("nan"), float("inf")]))["value"].to_list() == [1.0]


def test_seeds_are_averaged():
    assert mean_curve(thin(pl.concat([curve([1.0]), curve([3.0], seed=1)])))["value"].to_list() == [2.0]


def test_several_seeds_are_thin_lines_and_a_thick_one():
    curves = thin(pl.concat([curve([2.0, 1.0]), curve([3.0, 1.0], seed=1)]))
    drawn = plots.loss_curves(curves)["class"]["views"]["all"]["data"]
    assert [trace["line"]["width"] for trace in drawn] == [0.8, 0.8, 2.2]


def test_a_term_with_one_value_is_no_curve():
    assert plots.loss_curves(thin(curve([2.0]))) == {}


def test_what_a_class_is_called_can_neither_be_markup_nor_colour():
    assert plots.plain("<ink>") == "&lt;ink&gt;"


def test_confusion_is_shaded_by_row():
    heat = plots.confusion(np.array([[3, 1], [0, 0]]), ["a", "b"])["views"]["all"]["data"][0]
    assert heat["z"] == [[0.75, 0.25], [0.0, 0.0]]
    assert heat["text"] == [["3", "1"], ["", ""]]


def test_maps_have_each_point_once_in_each_view():
    codes = np.array([0, 1, 1, 0, 2])
    views = plots.feature_map(np.arange(10.0).reshape(5, 2), 2, codes, ["a", "b", "c"])["views"]
    for view in views.values():
        assert sorted(row for trace in view["data"] for row in trace["customdata"]) == [0, 1, 2, 3, 4]


def test_figures_are_json():
    figure = plots.dots_by_class({"source_only": [0.1, None], "adapted": [None, 0.3]}, ["a", "b"], "found")
    assert json.loads(json.dumps(figure, allow_nan=False)) == figure


def test_names_that_would_look_alike_are_told_apart():
    names = ["a class with a very long name, red", "a class with a very long name, blue", "cat"] + ["x" * 40] * 2
    assert len(set(plots.distinct(names))) == 5


def test_an_axis_of_few_steps_has_a_tick_for_each():
    curves = pl.DataFrame({"phase": ["adapted"] * 3, "seed": [0] * 3, "name": ["class"] * 3, "bin": [0, 1, 2],
                           "step": [1.0, 2.0, 3.0], "value": [3.0, 2.0, 1.0]})  # fmt: skip
    [view] = plots.loss_curves(curves)["class"]["views"].values()
    assert view["layout"]["xaxis"]["dtick"] == 1
