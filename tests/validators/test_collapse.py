import numpy as np
import pytest

from acclimate.validators.collapse import collapsed, flattened

FINE = np.eye(4)[np.arange(80) % 4]


def test_a_sound_model_is_kept():
    assert collapsed(0.9, 0.95, FINE) == ""


def test_a_source_accuracy_that_falls_far_is_a_collapse():
    assert "fell from 0.950 to 0.700" in collapsed(0.7, 0.95, FINE)


def test_a_target_put_into_one_class_is_a_collapse():
    assert "only 1 of 4" in collapsed(0.95, 0.95, np.eye(4)[np.zeros(80, int)])


def test_few_examples_prove_no_collapse():
    assert collapsed(0.95, 0.95, np.eye(4)[np.zeros(5, int)]) == ""


@pytest.mark.parametrize(
    ("r2", "target", "says"),
    [
        (0.85, [0, 5, 10], ""),
        (0.75, [0, 5, 10], "R² on the source fell from 0.900 to 0.750"),
        (0.85, [5.0, 5.1, 5.2], "it predicts about the same for all of the target (5 to 5.2)"),
    ],
)
def test_a_model_of_numbers_is_not_kept_if_it_lost_the_source_or_says_one_number(r2, target, says):
    assert flattened(r2, 0.9, np.array([0.0, 5.0, 10.0]), np.array(target, dtype=float)) == says
