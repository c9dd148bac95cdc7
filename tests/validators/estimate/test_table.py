import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.errors import BadInput
from acclimate.validators.estimate.table import (
    KEPT,
    Row,
    apply,
    effective_rows,
    fit,
    load,
    save,
)

NAMES = ["a", "b", "c"]


def rows(families, each=12, *, seed=0, bias=0.05, first=0):
    """Tasks whose parts miss the truth by something common to the family, and by something of their own."""
    rng = np.random.default_rng(seed)
    found = []
    for family in range(first, first + families):
        off = bias * rng.normal(size=3)
        for _ in range(each):
            truth = rng.uniform(0.3, 0.9)
            parts = truth + np.array([0.1, 0.0, -0.04]) + off + 0.04 * rng.normal(size=3)
            found.append(Row(dict(zip(NAMES, parts.clip(0, 1), strict=True)), truth, f"family {family}"))
    return found


@pytest.mark.slow
def test_the_interval_holds_the_truth_of_new_families():
    covered = []
    for seed in range(25):
        rule, new = fit(rows(8, seed=seed), NAMES), rows(10, 4, seed=1000 + seed, first=100)
        guesses = [apply(rule, row.parts) for row in new]
        covered += [g.low <= row.truth <= g.high for g, row in zip(guesses, new, strict=True)]
    assert 0.85 < np.mean(covered) < 0.98


def test_the_common_bias_of_a_part_is_unlearnt():
    rule = fit(rows(12, bias=0.01), NAMES)
    new = rows(5, seed=9, bias=0.01, first=50)
    off = [apply(rule, row.parts).accuracy - row.truth for row in new]
    assert abs(np.mean(off)) < 0.02
    assert rule["mae"] < 0.05
    assert abs(rule["bias"]) < 0.02


def test_a_part_that_says_nothing_has_no_weight():
    rng = np.random.default_rng(0)
    noisy = [row._replace(parts={**row.parts, "b": rng.random()}) for row in rows(12, bias=0.01)]
    rule = fit(noisy, NAMES)
    assert rule["weights"][1] < 0.1 * sum(rule["weights"])


def test_parts_that_differ_widen_the_interval_if_they_are_then_wrong():
    rng = np.random.default_rng(0)
    found = []
    for i in range(300):
        truth, noise = rng.uniform(0.3, 0.7), rng.choice([0.01, 0.15])
        found.append(Row(dict(zip(NAMES, truth + noise * rng.normal(size=3), strict=True)), truth, str(i % 10)))
    rule = fit(found, NAMES)
    agreeing, differing = apply(rule, dict.fromkeys(NAMES, 0.5)), apply(rule, {"a": 0.4, "b": 0.5, "c": 0.6})
    assert differing.high - differing.low > 2 * (agreeing.high - agreeing.low)


@pytest.mark.parametrize(("families", "each"), [(3, 100), (4, 1)])
def test_too_few_families_or_tasks_give_no_rule(families, each):
    assert fit(rows(families, each), NAMES) is None


def test_rows_that_lack_a_part_are_left_out():
    full = rows(6)
    assert fit([*full, Row({"a": 0.5}, 0.5, "other")], NAMES) == fit(full, NAMES)


def test_a_part_that_is_missing_is_named():
    rule = fit(rows(6), NAMES)
    with pytest.raises(BadInput, match="parts missing: b, c"):
        apply(rule, {"a": 0.5, "b": np.nan})


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_a_guess_is_an_accuracy_within_its_interval(values):
    guess = apply(RULE, dict(zip(NAMES, values, strict=True)))
    assert 0 <= guess.low <= guess.accuracy <= guess.high <= 1


RULE = fit(rows(6), NAMES)


def test_values_alike_in_families_count_as_families_and_independent_ones_as_rows():
    family = np.repeat(np.arange(20), 10)
    rng = np.random.default_rng(0)
    assert effective_rows(rng.random(20)[family], family) == pytest.approx(20)
    assert effective_rows(rng.random(200), family) > 100


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = {"command": "make it", "kinds": {"source_only": RULE}}
    save(table, tmp_path / "table.json")
    assert load(tmp_path / "table.json") == table


def test_the_kept_table_can_be_read():
    assert load() == json.loads(KEPT.read_text("utf-8"))


def test_what_is_not_a_table_is_refused_in_one_line(tmp_path):
    (tmp_path / "table.json").write_text('{"command": "x", "kinds": {"adapted": {}}}')
    with pytest.raises(BadInput, match=r"not a table of estimates.*make it again"):
        load(tmp_path / "table.json")
