import numpy as np
import polars as pl
import pytest

from acclimate.errors import BadInput
from acclimate.runs.run import Run


@pytest.fixture
def predicted(finished_run):
    run = Run.open(finished_run)
    frame = run.predict(np.random.default_rng(0).normal(size=(30, 4)))
    unread = pl.int_range(pl.len()) == 1
    return run, frame.with_columns(pl.when(~unread).then(pl.col("class", "p_0", "p_1")))


def test_rows_that_could_not_be_read_stay_empty_when_corrected(predicted):
    run, frame = predicted
    corrected = run.correct(frame, run.label_shift(frame, "em"))
    assert corrected["class"].is_null().to_list() == corrected["p_0"].is_null().to_list()
    assert corrected["class"].is_null().arg_true().to_list() == [1]
    assert (corrected["p_0"] + corrected["p_1"]).drop_nulls().to_numpy() == pytest.approx(1)


def test_without_a_shift_only_the_calibration_changes_predictions(predicted):
    run, frame = predicted
    shift = run.label_shift(frame, "bbse")
    corrected = run.correct(frame, shift._replace(shares=shift.source))
    expected = shift.calibration(frame.drop_nulls("class").select("p_0", "p_1").to_numpy())
    np.testing.assert_allclose(corrected.drop_nulls("class").select("p_0", "p_1").to_numpy(), expected)


def test_shares_of_no_example_are_refused(predicted):
    run, frame = predicted
    with pytest.raises(BadInput, match="label_shift: no example could be read"):
        run.label_shift(frame.filter(pl.col("class").is_null()))
