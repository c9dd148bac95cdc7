import numpy as np
import pytest

from acclimate.errors import BadInput
from acclimate.validators.estimate.confidence import average_confidence, difference_of_confidences

SOURCE = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
TARGET = np.array([[0.6, 0.4], [0.5, 0.5]])


def test_average_confidence_is_the_mean_largest_probability():
    assert average_confidence(TARGET) == pytest.approx(0.55)


def test_doc_takes_the_lost_confidence_off_the_source_accuracy():
    labels = np.array([0, 1, 1, 1])  # three of four right, mean confidence 0.75
    assert difference_of_confidences(SOURCE, labels, TARGET) == pytest.approx(0.75 - (0.75 - 0.55))


def test_doc_is_never_above_one_or_below_zero():
    sure, unsure = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert difference_of_confidences(unsure, np.array([0]), sure) == 1
    assert difference_of_confidences(sure, np.array([1]), unsure) == 0


@pytest.mark.parametrize(
    ("source", "labels", "target", "says"),
    [
        (SOURCE, [0, 1, 1], TARGET, "4 source outputs, but labels of shape (3,)"),
        (SOURCE, [0, 1, 1, 2], TARGET, "source labels must lie between 0 and 1"),
        (SOURCE, [0, 1, 1, 1], np.ones((2, 3)) / 3, "source outputs have 2 classes, target outputs 3"),
        (SOURCE, [0, 1, 1, 1], TARGET[:0], "target outputs must be (examples, classes), not (0, 2)"),
        (SOURCE, [0, 1, 1, 1], TARGET * np.nan, "target outputs contain NaN"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(source, labels, target, says):
    with pytest.raises(BadInput) as error:
        difference_of_confidences(source, np.array(labels), target)
    assert says in error.value.message
    assert "\n" not in error.value.message
