import gzip
from datetime import date

import polars as pl
import pytest
import samples
from polars.testing import assert_frame_equal

from acclimate.data import load
from acclimate.data.tables import as_fitted, common_columns
from acclimate.errors import BadInput


def _load(path, **columns):
    return load(path, label=columns.pop("label", "sick"), **columns)


def _written(path, **columns):
    pl.DataFrame(columns).write_parquet(path)
    return _load(path, label=None)


@pytest.fixture
def parquet(table):
    samples.rows().write_parquet(table.with_suffix(".parquet"))
    return table.with_suffix(".parquet")


@pytest.fixture
def packed(table):
    table.with_suffix(".csv.gz").write_bytes(gzip.compress(table.read_bytes()))
    return table.with_suffix(".csv.gz")


@pytest.mark.parametrize("other", ["parquet", "packed"])
def test_each_form_holds_the_same(table, other, request):
    one, two = _load(table), _load(request.getfixturevalue(other))
    assert_frame_equal(one.examples, two.examples)
    assert one.labels.tolist() == two.labels.tolist()


def test_the_label_is_no_feature(table):
    domain = _load(table)
    assert domain.examples.columns == ["age", "town"]
    assert domain.labels.tolist() == ["no", "yes"] * 6
    assert domain.names == [str(i) for i in range(12)]


def test_a_part_keeps_its_rows_and_loses_its_column(table):
    domain = _load(f"{table}#town=Linz")
    assert domain.examples.columns == ["age"]
    assert domain.examples["age"].to_list() == [20.0, 29.0, 38.0, 47.0]


def test_dropped_columns_are_gone(table):
    assert _load(table, drop=["town"]).examples.columns == ["age"]


def test_a_target_may_lack_label_and_dropped_columns(table):
    domain = load(table, label="outcome", drop=["id"])
    assert domain.labels is None


def test_a_text_column_is_text(table):
    domain = _load(table, text="town")
    assert (domain.kind, domain.examples[:2]) == ("text", ["Linz", "Graz"])


def test_text_of_several_columns_has_a_line_for_each_as_they_are_asked_for(tmp_path):
    path = samples.table(tmp_path / "a.csv", title=["Fine", None, *["-"] * 10])
    assert _load(path, text="title, town").examples[:2] == ["Fine\nLinz", "Graz"]
    assert _load(path, text="town,title").examples[:2] == ["Linz\nFine", "Graz"]


def test_a_text_column_may_have_a_comma_in_its_name(tmp_path):
    path = samples.table(tmp_path / "a.csv", **{"age,town": ["x"] * 12})
    assert _load(path, text="age,town").examples[0] == "x"


@pytest.mark.parametrize(
    ("label", "classes"),
    [([10, 9, 2] * 4, ("2", "9", "10")), ([1.0, 0.0] * 6, ("0", "1")), ([True, False] * 6, ("false", "true"))],
)
def test_labels_are_in_the_order_of_their_value(tmp_path, label, classes):
    assert _load(samples.table(tmp_path / "a.csv", sick=label)).classes == classes


def test_not_a_number_is_missing(tmp_path):
    domain = _written(tmp_path / "a.parquet", age=[1.0, float("nan"), None])
    assert domain.examples["age"].to_list() == [1.0, None, None]


@pytest.mark.parametrize(
    ("here", "there", "holds"),
    [
        ([1, 2], [1.5, None], "numbers"),
        ([True, False], [0, 1], "numbers"),
        ([1, 2], ["3", "?"], "text"),
        (["a", "b"], [None, None], "text"),
        ([date(2024, 1, 2)] * 2, [None, None], "dates"),
        ([None, None], [None, None], "nothing"),
    ],
)
def test_what_a_column_holds_in_both_domains(tmp_path, here, there, holds):
    source, target = (_written(tmp_path / f"{i}.parquet", a=v, b=[1, 2]) for i, v in enumerate((here, there)))
    columns = common_columns(source, target)
    assert columns == {"a": holds, "b": "numbers"}
    assert as_fitted(source, columns).schema == as_fitted(target, columns).schema


def test_dates_in_one_domain_alone_are_refused(tmp_path):
    source = _written(tmp_path / "a.parquet", day=[date(2024, 1, 2)])
    target = _written(tmp_path / "b.parquet", day=["2. Jan."])
    with pytest.raises(BadInput, match="'day' contains dates in one domain and text"):
        common_columns(source, target)


def test_columns_come_in_the_order_they_were_learnt(tmp_path):
    domain = _written(tmp_path / "a.parquet", b=[1], a=["x"])
    assert as_fitted(domain, {"a": "text", "b": "numbers"}).columns == ["a", "b"]


def test_numbers_written_as_text_are_numbers_where_those_were_learnt(tmp_path):
    domain = _written(tmp_path / "a.parquet", a=["1", "2.5", None])
    assert as_fitted(domain, {"a": "numbers"})["a"].to_list() == [1.0, 2.5, None]


def test_text_where_numbers_were_learnt_is_named(tmp_path):
    domain = _written(tmp_path / "a.parquet", a=["1", "high"])
    with pytest.raises(BadInput, match="'a' has 'high' in row 1, and numbers in the source"):
        as_fitted(domain, {"a": "numbers"})


def test_dates_of_another_zone_are_the_same_moment(tmp_path):
    there = pl.Series([date(2024, 1, 2)]).cast(pl.Datetime).dt.replace_time_zone("Europe/Vienna")
    domain = _written(tmp_path / "a.parquet", day=there)
    assert as_fitted(domain, {"day": "dates"})["day"].dt.hour().to_list() == [23]


@pytest.mark.parametrize("must", [True, False])
def test_a_column_that_rows_are_selected_by_may_be_dropped_too(table, must):
    domain = _load(f"{table}#town=Linz", drop=["town"], must_have_label=must)
    assert domain.table.columns == ["age"]
    with pytest.raises(BadInput, match="no column 'twon'"):
        _load(f"{table}#town=Linz", drop=["town", "twon"], must_have_label=True)
