"""Which examples the report chooses to show."""

import numpy as np

from acclimate.report.disagreements import select_disagreements, select_uncertain, select_wrong
from acclimate.runs.outputs import NO_FEATURES, ClassOutputs


def outputs(*confident: tuple[int, float]) -> ClassOutputs:
    """Of three classes: the predicted one and its probability, for each example."""
    shares = np.array([[p if c == of else (1 - p) / 2 for of in range(3)] for c, p in confident])
    return ClassOutputs([str(i) for i in range(len(shares))], shares, *NO_FEATURES, None, None)


ALL = np.arange(4)
BEFORE = outputs((0, 0.9), (0, 0.9), (0, 0.9), (0, 0.9))
AFTER = outputs((1, 0.9), (1, 0.8), (1, 0.7), (1, 0.6))


def test_each_outcome_is_shown_before_any_repeats():
    truth = np.array([1, 1, 0, 2])  # right, right, the source-only model is right, neither is
    assert select_disagreements(BEFORE, AFTER, ALL, 3, truth) == [0, 2, 3]


def test_without_labels_the_most_confident_come_first():
    assert select_disagreements(BEFORE, AFTER, ALL, 2) == [0, 1]


def test_the_smallest_lead_is_least_certain():
    assert select_uncertain(AFTER, ALL, 2) == [3, 2]


def test_mistakes_are_the_most_confident_of_each_pair_of_classes():
    assert select_wrong(AFTER, ALL, np.array([0, 0, 2, 1]), 2) == [0, 2]
