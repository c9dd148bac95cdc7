import warnings

import pytest


@pytest.fixture(scope="session")
def lightly():
    """lightly's losses and schedules, the oracle; its own import is not ours to keep free of warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightly.loss
        import lightly.utils.scheduler
    return lightly
