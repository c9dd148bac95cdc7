import re
from dataclasses import replace

import numpy as np
import pytest

from acclimate.errors import BadInput
from acclimate.validators.candidate import Candidate

P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
GIVEN = Candidate("mcc", P, np.array([0, 1, 1]), P[:2])


def test_it_says_what_is_predicted_and_what_is_right():
    assert GIVEN.predicted.tolist() == [0, 1]
    assert GIVEN.right.tolist() == [True, True, False]


def test_features_of_some_rows_come_with_their_probabilities_and_labels():
    known = replace(GIVEN, source_features=np.ones((2, 4)), source_rows=np.array([2, 1])).source_sample()
    assert known.probabilities.tolist() == P[[2, 1]].tolist()
    assert known.labels.tolist() == [1, 1]


def test_an_ensemble_has_the_methods_of_its_members():
    assert replace(GIVEN, method="ensemble", members=("dann", "mcc")).methods == {"ensemble", "dann", "mcc"}


@pytest.mark.parametrize("ask", ["source_sample", "target_sample", "mixtures"])
def test_a_part_that_is_missing_is_named(ask):
    with pytest.raises(BadInput, match=r"candidate mcc: has no (source features|target features|mixed)"):
        getattr(GIVEN, ask)()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": P[:, :1]}, "source: has shape (3, 1) and not (3, k)"),
        ({"target": np.ones((2, 3)) / 3}, "target: has shape (2, 3) and not (2, 2)"),
        ({"target": P[:0]}, "target: has shape (0, 2)"),
        ({"target": P[:2] * np.nan}, "target: rows are not probabilities"),
        ({"target": P[:2] * 2}, "target: rows are not probabilities"),
        ({"labels": np.array([0, 1])}, "labels: has shape (2,) and not (3,)"),
        ({"labels": np.array([0, 1, 2])}, "labels: are not all from 0 to 1"),
        ({"source_features": np.ones((2, 4))}, "source_features: has shape (2, 4) and not (3, d)"),
        ({"target_features": np.full((2, 4), np.inf)}, "target_features: a number is not finite"),
        ({"target_features": np.ones((1, 4)), "target_rows": np.array([2])}, "target_rows: are not all from 0 to 1"),
        ({"second_view": P}, "second_view: has shape (3, 2) and not (2, 2)"),
        ({"mixed": P}, "pairs and mixed: give both or neither"),
        ({"mixed": P, "pairs": np.array([[0, 2]] * 3)}, "pairs: are not two rows of the target each"),
        ({"head": np.ones((3, 4))}, "head: has shape (3, 4) and not (2, d)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, says):
    with pytest.raises(BadInput, match=re.escape(f"candidate mcc: {says}")):
        replace(GIVEN, **changes)
