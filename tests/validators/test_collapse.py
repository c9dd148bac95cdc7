import numpy as np
import pytest

from acclimate.metrics import errors
from acclimate.validators.collapse import collapsed, flattened

FINE = np.eye(4)[np.arange(80) % 4]
NUMBERS = np.arange(100.0)


def wrong(accuracy, n=200, seeds=1):
    return np.tile(np.arange(n) >= round(accuracy * n), (seeds, 1)).astype(float)


def test_a_sound_model_is_kept():
    assert collapsed(wrong(0.95), wrong(0.9), FINE) == ""


def test_a_source_accuracy_that_falls_far_is_a_collapse():
    assert "fell from 0.950 to 0.700" in collapsed(wrong(0.95), wrong(0.7), FINE)


def test_a_target_predicted_as_one_class_is_a_collapse():
    assert "only 1 of 4" in collapsed(wrong(0.95), wrong(0.95), np.eye(4)[np.zeros(80, int)])


@pytest.mark.parametrize(("used", "says"), [(3, "it predicts only 3 of 9 classes on the target"), (4, "")])
def test_a_third_of_the_classes_or_fewer_is_a_collapse(used, says):
    assert collapsed(wrong(0.95), wrong(0.95), np.eye(9)[np.arange(90) % used]) == says


def test_few_examples_of_the_target_prove_no_collapse():
    assert collapsed(wrong(0.95), wrong(0.95), np.eye(4)[np.zeros(5, int)]) == ""


@pytest.mark.parametrize(("n", "seeds"), [(1, 1), (7, 1), (7, 5)])
def test_one_example_of_the_source_proves_no_collapse_with_any_number_of_seeds(n, seeds):
    assert collapsed(wrong(1 / n, n, seeds), wrong(0, n, seeds), FINE) == ""


def test_few_examples_of_the_source_that_are_all_lost_are_a_collapse():
    assert "fell from 1.000 to 0.000" in collapsed(wrong(1, 7), wrong(0, 7), FINE)


@pytest.mark.parametrize(
    ("off", "target", "says"),
    [
        (9, [0, 50, 99], ""),
        (15, [0, 50, 99], "R² on the source fell from 1.000 to 0.730"),
        (0, [50.0, 50.1, 50.2], "it predicts nearly the same number for the whole target (50 to 50.2)"),
    ],
)
def test_a_regression_is_rejected_if_it_loses_the_source_or_predicts_one_number(off, target, says):
    before, after = (np.full((1, 100), d**2 / NUMBERS.var()) for d in (0, off))
    assert 1 - after.mean() == pytest.approx(errors(NUMBERS + off, NUMBERS)["r2"])
    assert flattened(before, after, NUMBERS, np.array(target, dtype=float)) == says


def test_one_number_that_explodes_is_a_collapse():
    before, after = np.zeros((1, 100)), np.zeros((1, 100))
    after[0, 0] = 5000
    assert "R² on the source fell from 1.000 to -49.000" in flattened(before, after, NUMBERS, NUMBERS)


def test_a_few_numbers_that_are_somewhat_off_prove_no_collapse():
    after = np.array([[1.5, 0, 0, 0, 0, 0, 0]])
    assert flattened(np.zeros((1, 7)), after, NUMBERS, NUMBERS) == ""
