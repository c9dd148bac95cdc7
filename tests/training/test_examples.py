import numpy as np

from acclimate.training.examples import label_coder


def test_numbers_that_are_all_the_same_are_coded_as_zeros_and_back():
    numbers = np.full(4, 2.5)
    coder = label_coder(numbers)
    codes = coder.encode(numbers)
    np.testing.assert_array_equal(codes, np.zeros(4, np.float32))
    np.testing.assert_array_equal(coder.decode(codes[:, None]), numbers)
