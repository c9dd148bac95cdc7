"""Concept drift, by labelled examples of both domains."""

import numpy as np
import pytest

from acclimate.shift.concept import accuracies, concept_drift


def labelled(n, seed=0, *, shift=0.0, drift=False, rare=1.0):
    """Classes by the first axis; with drift the second one turns them round. ``rare`` keeps that share of class 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4 * n, 3)) + np.array([shift, 0, 0])
    sign = np.where(drift & (x[:, 1] > 0), -1, 1)
    y = (rng.random(4 * n) < 1 / (1 + np.exp(-3 * sign * x[:, 0]))).astype(int)
    kept = np.flatnonzero((y == 0) | (rng.random(4 * n) < rare))[:n]
    return x[kept], y[kept]


def test_other_classes_of_like_examples_are_concept_drift():
    found = concept_drift(*labelled(300), *labelled(100, 1, drift=True))
    assert found.p < 0.01
    assert found.effect > 0.2


NONE, LABEL = (pytest.param(change, marks=pytest.mark.slow) for change in ({}, {"rare": 0.2}))


@pytest.mark.parametrize("change", [NONE, {"shift": 1.0}, LABEL], ids=["none", "covariate shift", "label shift"])
def test_other_shifts_are_not(change):
    p = [concept_drift(*labelled(150, i), *labelled(60, 50 + i, **change)).p for i in range(2)]
    assert max(p) > 0.05


def test_domains_that_do_not_overlap_tell_nothing():
    assert concept_drift(*labelled(200), *labelled(100, 1, shift=20, drift=True)) is None


def test_labels_of_the_target_correct_the_source_s_model():
    before, after = accuracies(*labelled(300), *labelled(200, 1, drift=True))
    assert before < 0.65 < 0.7 < after


def test_a_few_labels_are_no_test():
    assert concept_drift(*labelled(300), *labelled(20, 1)) is None
