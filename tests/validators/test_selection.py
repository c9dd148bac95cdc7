from dataclasses import replace

import numpy as np
import pytest
from candidates import COLLAPSES, accuracy, healthy, merged, model, one_class, source_only, task
from hypothesis import given
from hypothesis import strategies as st

from acclimate import validators
from acclimate.errors import BadInput
from acclimate.validators.gates import reasons
from acclimate.validators.selection import WEIGHTS, combine, select

TASK = task()
BEFORE, AFTER = source_only(TASK), healthy(TASK)


def halfway(of, method="cdan"):
    """A model that knows some of the target's classes."""
    (x, y), (xt, yt) = of.train, of.target
    return model(of, np.concatenate([x, xt[:40]]), np.concatenate([y, yt[:40]]), method)


POOL = [BEFORE, halfway(TASK), AFTER]


@pytest.mark.parametrize("collapse", COLLAPSES)
def test_no_collapse_is_chosen(collapse):
    planted = COLLAPSES[collapse](AFTER)
    found = select([*POOL, planted], 0)
    assert found.choice in (1, 2)
    assert found.table[3].rejected
    assert np.isnan(found.table[3].combined)


QUICK = ("entropy", "snd", "bnm")


@pytest.mark.parametrize("collapse", COLLAPSES)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in validators.names()]
)
def test_no_validator_behind_the_gates_prefers_a_collapse(name, collapse):
    pool = [*POOL, COLLAPSES[collapse](AFTER)]
    passed = [i for i, reason in enumerate(reasons(pool, 0)) if not reason]
    scores = validators.get(name)().scores([pool[i] for i in passed])
    assert passed[int(np.nanargmax([score.value for score in scores]))] != 3


@pytest.mark.parametrize("name", ["entropy", "snd", "information_maximisation"])
def test_without_gates_a_collapse_would_win(name):
    pool = [*POOL, *(collapse(AFTER) for collapse in COLLAPSES.values())]
    assert np.nanargmax([score.value for score in validators.get(name)().scores(pool)]) > 2


@pytest.mark.parametrize("seed", range(3))
def test_of_healthy_models_the_better_is_chosen(seed):
    of = task(shift=2.0, seed=seed)
    pool = [source_only(of), healthy(of)]
    assert accuracy(pool[1], of) > accuracy(pool[0], of) + 0.05
    assert select(pool, 0).choice == 1


def test_a_pool_of_collapses_keeps_source_only():
    found = select([one_class(AFTER), BEFORE, one_class(AFTER)], 1)
    assert found.choice == 1
    assert found.reason == "no adapted model passed the gates, so source-only is kept"


def test_a_validator_has_no_say_about_a_method_that_minimises_what_it_measures():
    pool = [BEFORE, AFTER, replace(AFTER, method="mcc", target=np.eye(4)[AFTER.predicted])]
    rows = select(pool, 0).table
    assert rows[2].left_out == ("entropy",)
    assert rows[2].scores["entropy"].refused == "its method minimises the same quantity"
    assert not np.isnan(rows[1].scores["entropy"].value)


def test_confidence_alone_does_not_raise_a_method_that_minimised_entropy():
    sure = replace(AFTER, method="mcc", target=np.eye(4)[AFTER.predicted])
    unsure = replace(AFTER, method="mcc")
    rows = select([BEFORE, unsure, sure], 0, weights={"entropy": 1.0, "class_ami": 1.0}).table
    assert rows[1].combined == rows[2].combined


def test_ranks_are_combined_by_weight_with_a_prior_by_hand():
    found = combine({"a": [1.0, 2, 3], "b": [5.0, np.nan, 4]}, {"a": 2.0, "b": 1.0}, prior=1.0)
    assert found == pytest.approx([(0.5 + 0 + 1) / 4, (0.5 + 1) / 3, (0.5 + 2 + 0) / 4])


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.randoms())
def test_the_order_of_the_pool_and_the_scale_of_scores_do_not_matter(values, random):
    order = random.sample(range(len(values)), len(values))
    found = combine({"a": values}, {"a": 1.0})
    again = combine({"a": [np.arctan(values[i]) for i in order]}, {"a": 1.0})
    assert again == pytest.approx(found[order])
    assert ((found >= 0) & (found <= 1)).all()


def test_equal_models_leave_source_only():
    assert select([AFTER, BEFORE, BEFORE], 1, weights={"class_ami": 0.0}).choice == 1


def test_a_candidate_without_parts_is_still_judged_by_the_others():
    bare = replace(AFTER, pairs=None, mixed=None)
    row = select([BEFORE, bare], 0).table[1]
    assert "mixval: needs predictions for mixtures" in row.scores["mixval"].refused
    assert row.combined > 0.5


def test_targets_of_different_sizes_are_left_to_the_other_validators():
    short = replace(
        AFTER,
        target=AFTER.target[:300],
        target_features=AFTER.target_features[:300],
        second_view=None,
        pairs=None,
        mixed=None,
    )
    assert "different numbers of target examples" in select([BEFORE, short], 0).table[0].scores["ensv"].refused


@pytest.mark.parametrize(
    ("position", "weights", "says"),
    [
        (3, WEIGHTS, "source_only: 3 is no position in a pool of 3"),
        (0, {"entropi": 1.0}, "no validator 'entropi'; did you mean entropy"),
        (0, {"entropy": -1.0}, "weights: entropy has -1.0; give 0 or more"),
    ],
)
def test_bad_arguments_are_named(position, weights, says):
    with pytest.raises(BadInput, match=says):
        select(POOL, position, weights=weights)


def test_a_merge_that_source_only_has_nearly_made_passes_the_gates_and_is_not_chosen():
    of = task(shift=3.0, seed=0)
    healthy_one = healthy(of)
    pool = [source_only(of), halfway(of), healthy_one, merged(healthy_one, on_source=False)]
    found = select(pool, 0)
    assert found.table[3].rejected == ""
    assert found.choice != 3
