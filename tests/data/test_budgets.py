import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.data.budgets import FRACTIONS, Budget, budgets, draw, with_none
from acclimate.errors import BadInput

counts = st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any)


@given(counts, st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 100))
def test_a_smaller_draw_is_a_part_of_a_larger_one(n_of_class, one, other, seed):
    codes = np.repeat(np.arange(len(n_of_class)), n_of_class)
    few, many = (set(draw(codes, Budget("", share=share), seed)) for share in sorted((one, other)))
    assert few <= many


@given(counts, st.floats(0.01, 1), st.integers(0, 100))
def test_of_every_class_the_share_is_drawn_and_one_at_least(n_of_class, share, seed):
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(n_of_class)), n_of_class))
    drawn = np.bincount(codes[draw(codes, Budget("", share=share), seed)], minlength=len(n_of_class))
    available = np.bincount(codes, minlength=len(n_of_class))
    assert (np.abs(drawn - share * available) < 1).all()
    assert ((drawn > 0) == (available > 0)).all()


def test_seeds_draw_differently():
    codes = np.repeat([0, 1], 50)
    assert set(draw(codes, Budget("", each=5), 0)) != set(draw(codes, Budget("", each=5), 1))


def test_a_budget_of_each_class_draws_so_many():
    codes = np.repeat([0, 1, 3], [9, 5, 7])
    assert np.bincount(codes[draw(codes, Budget("", each=5), 0)]).tolist() == [5, 5, 0, 5]


def test_none_comes_first_and_what_is_the_same_draw_once():
    asked = [Budget("all", share=1), Budget("5 per class", each=5), Budget("half", share=0.5)]
    assert [b.name for b in with_none(asked, np.repeat([0, 1], 10), "ab")] == ["0 per class", "5 per class", "all"]


def test_more_labels_than_there_are_cannot_be_had():
    with pytest.raises(BadInput, match="class 'b' has only 4 labelled examples to draw from"):
        with_none([Budget("", each=5)], np.repeat([0, 1], [9, 4]), "ab")


def test_where_nothing_is_asked_for_shares_are_tried():
    assert [b.share for b in budgets((), ())] == list(FRACTIONS)
    assert [b.each for b in budgets((), (0, 3))] == [3]


def test_a_fraction_is_rounded_to_the_nearest_number_of_labels():
    assert Budget("0.1", share=0.1).counts(np.array([17, 12, 3, 0])).tolist() == [2, 1, 1, 0]
