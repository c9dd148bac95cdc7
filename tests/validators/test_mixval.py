from dataclasses import replace

import numpy as np
import pytest
from candidates import one_class

from acclimate import validators
from acclimate.errors import BadInput
from acclimate.validators.candidate import Candidate
from acclimate.validators.mixval import draw_pairs, mixed_accuracy

PREDICTED = np.array([0, 0, 0, 1, 1, 2])
SMALL = Candidate("dann", np.eye(2), np.arange(2), np.eye(2)[[0, 0, 1]])


def mixed(pairs, classes):
    return replace(SMALL, pairs=np.array(pairs), mixed=np.eye(2)[classes])


def test_each_example_gets_one_partner_of_its_class_and_one_of_another():
    pairs = draw_pairs(PREDICTED)
    same = PREDICTED[pairs[:, 0]] == PREDICTED[pairs[:, 1]]
    assert sorted(pairs[same, 0]) == [0, 1, 2, 3, 4]  # class 2 has a single example
    assert sorted(pairs[~same, 0]) == [0, 1, 2, 3, 4, 5]
    assert (pairs[:, 0] != pairs[:, 1]).all()


def test_pairs_follow_the_seed():
    assert draw_pairs(PREDICTED).tolist() == draw_pairs(PREDICTED).tolist()
    assert any(draw_pairs(PREDICTED, seed=s).tolist() != draw_pairs(PREDICTED).tolist() for s in range(5))


def test_mixtures_are_right_if_predicted_as_the_dominant_example():
    found = mixed_accuracy(mixed([[0, 1], [1, 0], [0, 2], [2, 0]], [0, 1, 0, 1]))
    assert found == (1.0, 0.5)  # of different classes both, of one class one of two


def test_a_pool_is_scored_by_the_mean_of_both_ranks():
    pairs = [[0, 1], [1, 0], [0, 2], [2, 0]]
    pool = [mixed(pairs, [0, 0, 0, 1]), mixed(pairs, [0, 1, 0, 1]), mixed(pairs, [0, 1, 1, 1]), SMALL]
    scores = validators.get("mixval")().scores(pool)
    assert [s.value for s in scores[:3]] == pytest.approx([(0.75 + 1) / 2, (0.75 + 0.25) / 2, (0 + 0.25) / 2])
    assert "mixval: needs predictions for mixtures" in scores[3].refused


def test_one_class_for_everything_is_no_success():
    with pytest.raises(BadInput, match="no mixture has two examples predicted as different classes"):
        mixed_accuracy(one_class(replace(mixed([[0, 1], [0, 2]], [0, 0]), second_view=SMALL.target)))
