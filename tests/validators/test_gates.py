from dataclasses import replace

import numpy as np
import pytest
from candidates import COLLAPSES, accuracy, healthy, merged, model, one_class, source_only, task

from acclimate.validators.candidate import Candidate
from acclimate.validators.gates import below_pool, effective_rank, fell, fell_on_source, reasons, shares_present

TASK = task()
BEFORE, AFTER = source_only(TASK), healthy(TASK)
FEW_OF_SOME = np.array([20, 1, 1, 1]) / 23
TWO_OF_FOUR = np.array([1, 1, 0, 0]) / 2


def reason(candidate, before=BEFORE):
    return reasons([before, candidate], 0)[1]


def without_features(candidate):
    return replace(candidate, source_features=None, target_features=None)


@pytest.mark.parametrize(
    ("collapse", "says"),
    [
        ("one class", "it predicts class 0 for 100.0% of the target, source-only other classes for 7"),
        ("merged", "it predicts class 1 for 0.0% of the target, source-only for 1"),
        ("merged on the target", "it predicts class 1 for 0.0% of the target, source-only for 1"),
        ("confident noise", "its predictions for the target look random: 2"),
    ],
)
@pytest.mark.parametrize("change", [lambda c: c, without_features], ids=["features", "no features"])
def test_a_planted_collapse_is_rejected(collapse, says, change):
    assert reason(change(COLLAPSES[collapse](AFTER)), change(BEFORE)).startswith(says)


@pytest.mark.parametrize("k", [2, 10])
@pytest.mark.parametrize("collapse", ["one class", "merged", "confident noise"])
def test_a_planted_collapse_is_rejected_with_few_classes_and_with_many(k, collapse):
    of = task(k, 10, 600, apart=4)
    assert reason(COLLAPSES[collapse](healthy(of)), source_only(of))


@pytest.mark.parametrize("shares", [None, FEW_OF_SOME, TWO_OF_FOUR], ids=["even", "rare", "absent"])
@pytest.mark.parametrize("seed", range(3))
def test_a_healthy_model_passes_where_the_classes_of_the_target_have_other_shares(shares, seed):
    of = task(shares=shares, shift=1.0, seed=seed)
    assert reason(healthy(of), source_only(of)) == ""


def test_absent_classes_that_source_only_predicts_are_believed_if_most_models_do_without_them():
    of = task(shares=TWO_OF_FOUR, shift=3.0, apart=2.0, seed=4)
    before, after = source_only(of), healthy(of)
    assert accuracy(after, of) > accuracy(before, of) + 0.1
    assert reasons([before, after, replace(after, method="mcc")], 0)[1:] == ["", ""]


@pytest.mark.parametrize(("methods", "present"), [(["mcc"], True), (["mcc"] * 3, True), (["mcc", "dann"], False)])
def test_a_class_counts_as_present_unless_most_methods_do_without_it(methods, present):
    lost = [replace(merged(AFTER), method=method) for method in methods]
    assert (shares_present([BEFORE, *lost], 0).by_most[1] > 0.1) == present


def test_one_class_for_everything_is_rejected_though_most_models_do_so():
    lost = [replace(one_class(AFTER), method=method) for method in ("mcc", "cdan", "dann")]
    strays = np.where(np.arange(400)[:, None] < 6, BEFORE.target, lost[0].target)
    assert all(reasons([BEFORE, *lost, replace(lost[0], target=strays)], 0)[1:])


def test_source_only_is_never_rejected():
    assert reasons([one_class(BEFORE), AFTER], 0)[0] == ""


def test_predictions_that_hardly_differ_between_examples_are_flat():
    flat = replace(AFTER, target=0.97 / 4 + 0.03 * AFTER.target)
    assert flat.predicted.tolist() == AFTER.predicted.tolist()
    assert "nearly alike: effective rank 1." in reason(flat)


@pytest.mark.parametrize(("p", "rank"), [(np.eye(3), 3), (np.full((9, 3), 1 / 3), 1), (np.eye(4)[[0, 0, 1, 1]], 2)])
def test_the_effective_rank_counts_equal_directions(p, rank):
    assert effective_rank(p) == pytest.approx(rank)


def test_a_model_that_unlearnt_the_source_is_rejected():
    wrong = np.roll(AFTER.source, 1, axis=1)
    half = np.where(np.arange(400)[:, None] < 80, wrong, AFTER.source)
    assert "accuracy on the source fell from" in fell_on_source(replace(AFTER, source=half), BEFORE)


def test_one_class_that_is_unlearnt_on_the_source_is_named():
    of = task(12, 12, 600, apart=5, shift=0.1)
    before = source_only(of)
    assert fell_on_source(merged(before), before).startswith("recall of class 1 on the source fell from 1.000 to 0.0")


def test_a_fall_on_the_source_that_chance_explains_is_none():
    before, after = np.arange(10) < 9, np.arange(10) < 7
    assert fell(after, before, paired=True) == 0
    assert fell(np.tile(after, 40), np.tile(before, 40), paired=True) == pytest.approx(0.2)


def test_paired_examples_prove_a_fall_that_unpaired_ones_do_not():
    before, after = np.arange(100) < 60, np.arange(100) < 50
    assert fell(after, before, paired=True) == pytest.approx(0.1)
    assert fell(after, before, paired=False) == 0


def test_accuracy_on_other_examples_of_the_source_is_compared_unpaired():
    other = np.roll(BEFORE.labels, 1)
    assert "fell" in fell_on_source(replace(BEFORE, source=np.eye(4)[(other + 1) % 4], labels=other), BEFORE)


def test_weighted_accuracy_far_below_the_pools_best_is_rejected():
    close = task(shift=0.2)
    good, (x, y) = source_only(close), close.train
    bad = model(close, x, np.where(np.arange(400) < 250, (y + 1) % 4, y), "dann")
    assert [bool(text) for text in below_pool([good, good, bad])] == [False, False, True]


def test_errors_where_the_target_is_dense_are_rejected_though_few_on_the_source():
    rng = np.random.default_rng(0)
    labels, row = np.arange(1000) % 2, np.arange(1000)

    def features(far):
        return rng.standard_normal((1000, 2)) + np.stack([3 * far, 6 * labels - 3], 1)

    y = np.eye(2)[labels]
    before = Candidate("source_only", y, labels, y, features(row < 100), None, features(row < 700))
    flipped = np.eye(2)[
        np.where(row < 70, 1 - labels, labels)
    ]  # where a tenth of the source is, and most of the target
    after = replace(before, method="dann", source=flipped)
    assert fell_on_source(after, before) == ""
    assert "importance-weighted accuracy on the source is" in reason(after, before)


def test_a_source_split_without_a_class_still_tells_what_is_present():
    rows = BEFORE.labels < 3
    partial = replace(without_features(BEFORE), source=BEFORE.source[rows], labels=BEFORE.labels[rows])
    assert shares_present([partial], 0).by_most.tolist() == (np.bincount(BEFORE.predicted) / 400).tolist()


def test_candidates_without_features_have_no_weighted_accuracy():
    assert below_pool([without_features(BEFORE)]) == [""]


def test_few_examples_of_the_target_prove_no_collapse():
    few = {"target": AFTER.target[:8], "target_features": None, "second_view": None, "pairs": None, "mixed": None}
    before = replace(BEFORE, **{**few, "target": BEFORE.target[:8]})
    assert reason(replace(AFTER, **{**few, "target": np.eye(4)[np.zeros(8, int)]}), before) == ""


def test_a_model_of_a_harder_source_is_compared_with_source_only_of_that_source():
    labels = np.roll(BEFORE.labels, 1)
    right = np.where(np.arange(400) < 240, labels, (labels + 1) % 4)
    harder = replace(AFTER, source=np.eye(4)[right], labels=labels, source_features=None)
    assert reasons([BEFORE, harder, harder], 0)[1:] == 2 * ["accuracy on the source fell from 0.950 to 0.600"]
    assert reasons([BEFORE, harder, harder], 0, own=[0, 1, 1])[1:] == ["", ""]
    unlearnt = replace(harder, source=np.eye(4)[(labels + 1) % 4])
    assert reasons([BEFORE, harder, unlearnt], 0, own=[0, 1, 1])[2] == "accuracy on the source fell from 0.600 to 0.000"
    assert reasons([BEFORE, harder, COLLAPSES["one class"](harder)], 0, own=[0, 2, 2])[2].startswith("it predicts")
