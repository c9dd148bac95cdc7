"""pandas frames are read as polars frames, with pyarrow and without."""

import datetime
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from acclimate.data import load
from acclimate.data.frames import series_to_polars, to_polars
from acclimate.data.source import as_domain
from acclimate.errors import BadInput

DAY = datetime.datetime(2024, 1, 31)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"age": [20.5, np.nan, 31.0], "town": ["Graz", None, "Linz"], "sick": [1, 0, 1]})


@pytest.mark.parametrize("columns", [{}, {"label": "sick"}, {"label": "sick", "text": "town"}, {"drop": ["age"]}])
def test_a_frame_is_the_csv_that_it_writes(columns, tmp_path):
    frame().to_csv(tmp_path / "a.csv", index=False)
    given, expected = as_domain(frame(), name="source", **columns), load(tmp_path / "a.csv", **columns)
    assert (given.kind, given.label_type) == (expected.kind, expected.label_type)
    np.testing.assert_array_equal(given.labels, expected.labels)
    if given.kind == "table":
        assert given.table.equals(expected.table)
    else:
        assert given.texts == expected.texts


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([1, 2]), pl.Series([1, 2])),
        (pd.Series([1, None], dtype="Int64"), pl.Series([1, None])),
        (pd.Series([1.5, None], dtype="Float64"), pl.Series([1.5, None])),
        (pd.Series([True, None], dtype="boolean"), pl.Series([True, None])),
        (pd.Series(["a", None]), pl.Series(["a", None])),
        (pd.Series(["a", np.nan], dtype=object), pl.Series(["a", None])),
        (pd.Series(pd.Categorical(["a", None])), pl.Series(["a", None])),
        (pd.Series(pd.to_datetime(["2024-01-31", None])), pl.Series([DAY, None])),
        (pd.Series(np.array(["2024-01-31", "NaT"], dtype="datetime64[s]")), pl.Series([DAY, None])),
        (pd.Series(pd.to_timedelta([1, None], unit="D")), pl.Series([datetime.timedelta(1), None])),
        (pd.Series([DAY.date(), None], dtype=object), pl.Series([DAY.date(), None])),
        (pl.Series([1]), pl.Series([1])),
    ],
    ids=lambda values: str(values.dtype),
)
def test_values_and_gaps_are_kept(values, expected):
    assert series_to_polars(values, "a", "source").equals(expected.alias("a"), check_dtypes=True, check_names=True)


def test_names_of_columns_become_text():
    assert to_polars(pd.DataFrame({0: [1], ("a", 1): [2]}), "source").columns == ["0", "('a', 1)"]


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(BadInput, match="source: has two columns '0'; rename one"):
        to_polars(pd.DataFrame([[1, 2]], columns=[0, "0"]), "source")


def test_a_column_of_mixed_types_is_refused():
    with pytest.raises(BadInput, match="source: column 'a' mixes types"):
        to_polars(pd.DataFrame({"a": [1, "b"]}, dtype=object), "source")


def test_frame_and_labels_are_a_pair_as_for_scikit_learn():
    given = as_domain((frame().drop(columns="sick"), frame()["sick"]), name="source", label="sick")
    assert given.table.equals(as_domain(frame(), name="source", label="sick").table)
    assert (given.labels.tolist(), given.label_type) == (["1", "0", "1"], "integer")


def test_a_column_the_source_lacks_is_refused():
    with pytest.raises(BadInput, match="source: has no column 'sik'; did you mean sick"):
        as_domain(frame(), name="source", label="sik", must_have_label=True)
    assert as_domain(frame(), name="target", label="sik").labels is None


WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
import pandas
from acclimate.data.source import as_domain
frame = pandas.DataFrame({"town": ["Graz", None], "n": pandas.array([1, None], dtype="Int64")})
print(as_domain(frame, name="source").table.rows())
"""


@pytest.mark.slow
def test_pyarrow_is_not_needed():
    done = subprocess.run([sys.executable, "-c", WITHOUT_PYARROW], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[('Graz', 1), (None, None)]"
