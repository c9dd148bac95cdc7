"""Which columns and words differ between two domains."""

import numpy as np
import polars as pl
import pytest

from acclimate.data.source import as_domain
from acclimate.shift.moved import moved


def table(**columns):
    return as_domain(pl.DataFrame(columns), name="t")


def test_a_number_moves_by_its_standardised_mean_difference():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=300), rng.normal(size=200) + 1.5
    same = np.arange(300) % 3, np.arange(200) % 3
    [found] = moved(table(age=before, n=same[0]), table(age=after, n=same[1]))
    assert (found["kind"], found["name"]) == ("mean", "age")
    spread = np.sqrt((before.var() + after.var()) / 2)
    assert found["effect"] == pytest.approx((after.mean() - before.mean()) / spread, 1e-3)


def test_a_value_moves_by_its_share():
    [found] = moved(table(site=["a"] * 8 + ["b"] * 2 + ["c"] * 10), table(site=["a"] * 2 + ["b"] * 8 + ["c"] * 10))[:1]
    assert (found["kind"], found["value"], found["source"], found["target"]) == ("value", "a", 0.4, 0.1)


def test_missing_entries_count():
    [found] = moved(table(x=[1.0, 2.0] * 5), table(x=[1.0, None, 2.0, None] * 5))
    assert (found["kind"], found["source"], found["target"]) == ("missing", 0, 0.5)


def test_the_word_of_one_domain_comes_first():
    source = as_domain(["a good book", "a bad book", "one book"] * 4, name="s")
    target = as_domain(["a good film", "a bad film", "one film"] * 4, name="t")
    assert {(m["name"], m["source"], m["target"]) for m in moved(source, target)} == {("book", 1, 0), ("film", 0, 1)}


def test_equal_domains_and_images_have_nothing_to_tell():
    same, pictures = table(x=[1.0, 2.0], y=["a", None]), as_domain(np.zeros((3, 8, 8), np.uint8), name="p")
    assert moved(same, same) == moved(pictures, pictures) == []


def test_what_never_varies_has_a_finite_effect():
    [found] = moved(as_domain(np.zeros((3, 2)), name="s"), as_domain(np.array([[0.0, 1.0]] * 3), name="t"))
    assert (found["name"], found["effect"]) == ("feature 1", 99.0)


@pytest.mark.parametrize("n", [49, 60, 93])
def test_a_word_of_every_text_has_a_share_of_one(n):
    before, after = (
        as_domain(pl.DataFrame({"text": [f"a {thing}"] * n}), name="t", text="text") for thing in ("book", "film")
    )
    shares = {(one["name"], one["source"], one["target"]) for one in moved(before, after)}
    assert shares == {("book", 1.0, 0.0), ("film", 0.0, 1.0)}
