"""A diagnosis of two domains, from faults to one correction for all tests."""

import json

import numpy as np
import polars as pl
import pytest
import samples

from acclimate.data.source import as_domain
from acclimate.errors import BadInput
from acclimate.shift import Findings, diagnose
from acclimate.shift.rows import rows_of, standardised


def normal(n, shift=0.0, seed=0, d=10):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.slow
def test_a_tiny_shift_of_many_examples_is_small():
    found = diagnose(normal(100_000), normal(100_000, 0.01, 1))
    assert found.verdict == "different, but small"


def test_a_moved_column_is_named_first():
    a, b = normal(200, d=4), normal(200, seed=1, d=4)
    b[:, 2] += 1
    found = diagnose(a, b)
    assert found.of("column")[0].name == "feature 2"
    assert [one.level > 0 for one in found.of("column")] == [True, False, False, False]
    assert found.verdict == "very different"


@pytest.mark.slow
def test_no_shift_raises_few_alarms():
    alarms = [diagnose(normal(40, seed=i, d=3), normal(40, seed=900 + i, d=3)).verdict for i in range(15)]
    assert alarms.count("no difference found") >= 13


def test_few_examples_leave_it_unknown():
    found = diagnose(normal(5), normal(50, seed=1))
    assert found.tests == ()
    assert "10 examples" in found.unknown[0]


def test_nothing_in_common_leaves_it_unknown():
    found = diagnose(pl.DataFrame({"a": np.arange(20.0)}), pl.DataFrame({"z": np.arange(20.0)}))
    assert found.headline.startswith("source and target could not be compared; 2 likely faults")
    assert "nothing in common" in found.unknown[0]


def test_domains_of_very_unequal_sizes_are_compared():
    assert diagnose(normal(12, d=2), normal(3000, 3.0, d=2)).verdict == "very different"


def test_tables_of_all_types_become_numbers(tmp_path):
    frame = samples.rows(40).with_columns(day=pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 2, 9), eager=True))
    a, b = (as_domain(rows, name="t") for rows in (frame, frame.with_columns(age=pl.lit(None, pl.Float64))))
    source, target = rows_of(a, b)
    assert source.shape == target.shape
    assert np.isfinite(source).all()
    assert np.isfinite(target).all()


def test_standardising_gives_both_domains_the_same_weight():
    a, b = standardised(np.zeros((10, 1)), np.ones((90, 1)))
    assert (a[0, 0], b[0, 0]) == (-1, 1)


def test_texts_differ_by_their_words():
    books = [f"a {'good' if i % 2 else 'bad'} book" for i in range(30)]
    found = diagnose(books, [text.replace("book", "film") for text in books])
    assert {one.name for one in found.of("column") if one.level} == {"book", "film"}


def test_findings_become_json_and_html():
    found = diagnose(
        {"<b>": [1.0]} and pl.DataFrame({"<b>": np.arange(40.0)}), pl.DataFrame({"<b>": np.arange(40.0) + 99})
    )
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["tests"][0]["verdict"] == "very different"
    assert "&lt;b&gt;" in found._repr_html_()
    assert isinstance(found, Findings)


def test_faults_come_first_in_what_is_printed():
    heights = np.random.default_rng(0).normal(170, 10, (2, 60))
    found = diagnose(pl.DataFrame({"h": heights[0]}), pl.DataFrame({"h": heights[1] / 100}))
    assert found.lines()[0].startswith("Likely fault: column 'h'")


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        (normal(20), ["a text"] * 20, "give the same kind"),
        (normal(20), normal(20, d=3), "has 3 columns, the source has 10"),
        (np.zeros((20, 8, 8), np.uint8), np.zeros((20, 8, 8), np.uint8), "features of a backbone"),
    ],
)
def test_domains_that_cannot_be_compared_are_refused(source, target, says):
    with pytest.raises(BadInput, match=says):
        diagnose(source, target)
