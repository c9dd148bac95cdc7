import numpy as np

from acclimate.validators.collapse import collapsed

FINE = np.eye(4)[np.arange(80) % 4]


def test_a_sound_model_is_kept():
    assert collapsed(0.9, 0.95, FINE) == ""


def test_a_source_accuracy_that_falls_far_is_a_collapse():
    assert "fell from 0.950 to 0.700" in collapsed(0.7, 0.95, FINE)


def test_a_target_put_into_one_class_is_a_collapse():
    assert "only 1 of 4" in collapsed(0.95, 0.95, np.eye(4)[np.zeros(80, int)])


def test_few_examples_prove_no_collapse():
    assert collapsed(0.95, 0.95, np.eye(4)[np.zeros(5, int)]) == ""
