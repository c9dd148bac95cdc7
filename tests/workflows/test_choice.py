"""The choice of a setting from tables that are written by hand."""

import numpy as np
import pytest

from acclimate.validators.base import Score
from acclimate.validators.selection import Row
from acclimate.workflows.compare.choice import choose, mean_scores


def row(combined, rejected="", **scores):
    return Row("m", rejected, {name: Score(value) for name, value in scores.items()}, (), combined)


def test_the_setting_with_the_highest_mean_rank_is_chosen():
    tables = [{"source_only": row(0.5), "a": row(0.9), "b": row(0.7)},
              {"source_only": row(0.5), "a": row(0.3), "b": row(0.7)}]  # fmt: skip
    choice = choose(tables, "source_only")
    assert choice.name == "b"
    assert choice.ranks == {"source_only": 0.5, "a": pytest.approx(0.6), "b": 0.7}


def test_a_rejected_model_counts_as_the_worst():
    tables = [{"source_only": row(0.4), "a": row(0.9)}, {"source_only": row(0.4), "a": row(np.nan, "collapsed")}]
    assert choose(tables, "source_only").name == "a"
    tables.append({"source_only": row(0.6), "a": row(np.nan, "collapsed")})
    choice = choose(tables, "source_only")
    assert (choice.name, choice.ranks["a"]) == ("source_only", pytest.approx(0.3))
    assert choice.reason == "it has the highest mean rank, 0.47 of 1; gates rejected 2 of 6 models"


def test_source_only_is_chosen_among_equals():
    assert choose([{"a": row(0.5), "source_only": row(0.5)}], "source_only").name == "source_only"


def test_a_setting_that_lacks_a_seed_cannot_be_chosen():
    choice = choose([{"source_only": row(0.5), "a": row(0.9)}, {"source_only": row(0.5)}], "source_only")
    assert (choice.name, choice.ranks) == ("source_only", {"source_only": 0.5})


def test_a_score_is_the_mean_of_those_seeds_that_have_one():
    rows = [row(0.5, entropy=1.0, snd=np.nan), row(0.5, entropy=2.0, snd=np.nan), row(np.nan, "collapsed")]
    assert mean_scores(rows) == {"entropy": 1.5}
