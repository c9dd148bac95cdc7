"""Warnings about data that can be trained on, and likely should not be as they are."""

import numpy as np
import polars as pl
import pytest
import samples
from samples import shifted

from acclimate.data.source import as_domain
from acclimate.runs.run import Run
from acclimate.workflows.options import Request
from acclimate.workflows.plan import doubts, make_plan

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 400)
TEXTS = [" ".join(RNG.choice(["good", "bad", "book", "film", "the"], 8)) for _ in range(400)]


def told(task="classification", labels=LABELS, **columns):
    frame = pl.DataFrame({"age": RNG.normal(size=400), **columns})
    return list(doubts.of_source(as_domain((frame, labels), name="reviews.csv"), task))


def test_a_column_of_text_leads_to_the_option_that_reads_it():
    (note,) = told(review=TEXTS)
    assert note.startswith("reviews.csv: 'review' looks like text; learn from the words with --text review, or")


def test_several_columns_of_text_are_named_together():
    (note,) = told(title=TEXTS[::-1], review=TEXTS)
    assert "'title', 'review' look like text" in note
    assert "--text title,review" in note


@pytest.mark.parametrize("column", [["New York City Hall"] * 400, [f"id {i}" for i in range(400)], [None] * 400])
def test_categories_and_names_are_not_text(column):
    assert not told(column=column)


@pytest.mark.parametrize(
    "column",
    [
        np.where(LABELS == 1, RNG.integers(4, 6, 400), RNG.integers(1, 3, 400)),
        np.where(LABELS == 1, "positive", "negative"),
        LABELS + 0.4 * RNG.random(400),
        LABELS == 1,
    ],
    ids=["rating", "words", "numbers", "truth"],
)
def test_a_column_that_gives_the_label_away_is_named(column):
    (note,) = told(rating=column)
    assert note.startswith(
        "reviews.csv: column 'rating' alone predicts 100.0% of the labels of held-out rows; leave it"
    )
    assert "--drop rating" in note


def test_a_column_that_helps_is_not_named():
    assert not told(hint=np.where(RNG.random(400) < 0.95, LABELS, 1 - LABELS))


def test_a_name_of_its_own_for_each_row_gives_nothing_away():
    assert not told(id=[f"{label}-{i}" for i, label in enumerate(LABELS)])


def test_a_rare_class_is_not_given_away_by_guessing_the_other():
    rare = np.r_[np.ones(2, int), np.zeros(398, int)]
    assert not told(labels=rare, constant=["a", "b"] * 200)


def test_a_number_in_other_units_gives_the_label_away():
    price = RNG.normal(100, 20, 400)
    (note,) = told("regression", price, with_tax=1.2 * price, area=price + RNG.normal(0, 5, 400))
    assert "column 'with_tax' alone has a correlation of 1.0000 with the label" in note


def test_nothing_is_told_of_other_kinds():
    assert not list(doubts.of_source(as_domain((TEXTS, LABELS), name="reviews"), "classification"))


def test_a_target_of_a_few_examples_is_told(caplog, finished_run, tmp_path):
    target = shifted(3, shift=2)[0]
    make_plan(shifted(), target, Request(method="source_only"))
    make_plan(Run.open(finished_run), target, Request(method="shot"))
    assert caplog.messages == ["target: only 3 examples, too few to adapt to; give at least 10, better hundreds"] * 2


def test_a_plan_tells_once_what_is_doubtful(caplog, tmp_path):
    source = samples.table(tmp_path / "s.csv", note=[f"the {i}th patient says so" for i in range(12)])
    target = samples.table(tmp_path / "t.csv", note=[f"{i} came in again today" for i in range(12)], age=range(12))
    make_plan(source, target, Request(method="source_only", label="sick"))
    assert [message for message in caplog.messages if "looks like text" in message] == [
        f"{source}: 'note' looks like text; learn from the words with --text note, or leave out with --drop note"
    ]
