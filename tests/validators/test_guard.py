import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.errors import BadInput
from acclimate.validators.estimate.combined import Known, Unknown
from acclimate.validators.evidence import Pair
from acclimate.validators.guard import RULE, WORDS, Case, Labels, Rule, fit, guard, log_odds

BETTER, WORSE = {"critic": Pair(0.5, 0.8)}, {"critic": Pair(0.8, 0.5)}


def labels(gained, lost, same=10):
    """Labelled examples on which one model alone is right, and others on which both are."""
    right = np.array([True] * gained + [False] * lost + [True] * same)
    return Labels(np.array([False] * gained + [True] * (lost + same)), right)


def test_without_evidence_source_only_is_kept():
    verdict = guard({})
    assert verdict.kept == "source_only"
    assert verdict.sentence == "Source-only is kept: there is no evidence that adaptation helps."


def test_a_gate_rejects_whatever_the_cues_say():
    verdict = guard(BETTER, gates=["", "it predicts only 1 of 4 classes on the target"], labels=labels(9, 0))
    assert (verdict.kept, verdict.probability) == ("source_only", 0)
    assert verdict.sentence == "Source-only is kept: it predicts only 1 of 4 classes on the target."


def test_cues_for_and_against_decide_and_are_named():
    assert guard(BETTER).sentence == "Adapted is kept: critics find less to doubt in its predictions."
    assert guard(WORSE).sentence == "Source-only is kept: critics find more to doubt in its predictions."
    mixed = guard({**BETTER, "source": Pair(0.95, 0.9)}, rule=Rule(0, {"critic": 8.0, "source": 10.0}))
    assert mixed.sentence == (
        "Adapted is kept: critics find less to doubt in its predictions, although it is worse on the source."
    )


def test_the_log_odds_of_a_cue_are_its_weight_times_its_gain():
    verdict = guard({"critic": Pair(0.5, 0.6)}, rule=Rule(-1, {"critic": 30.0}))
    assert verdict.probability == pytest.approx(1 / (1 + math.exp(-2)))


@given(st.integers(0, 30), st.integers(0, 30))
def test_labels_weigh_as_much_for_one_model_as_the_mirror_image_for_the_other(gained, lost):
    assert log_odds(labels(gained, lost)) == pytest.approx(-log_odds(labels(lost, gained)), abs=1e-6)


def test_one_label_triples_the_odds():
    assert log_odds(labels(1, 0)) == pytest.approx(math.log(3))  # of a uniform θ, P(θ > ½ | a success) = 3/4


def test_enough_labels_overrule_the_cues():
    verdict = guard(WORSE, labels=labels(14, 1))
    assert verdict.kept == "adapted"
    assert "of 25 labelled target examples, adaptation corrects 14 and breaks 1 (p = 0.00098)" in verdict.sentence
    assert guard(WORSE, labels=labels(2, 1)).kept == "source_only"


def test_labels_of_other_examples_are_refused():
    with pytest.raises(BadInput, match="labels of 2 and of 1"):
        guard({}, labels=Labels(np.array([True, True]), np.array([True])))


def test_estimates_count_if_both_are_known():
    known, unknown = Known(0.5, 0.4, 0.6, {}, 60), Unknown("no tasks", {}, 65)
    better = known._replace(accuracy=0.8)
    assert guard({}, estimates=(known, better)).kept == "adapted"
    assert guard({}, estimates=(known, unknown)) == guard({})


def test_an_unknown_cue_is_refused():
    with pytest.raises(BadInput, match="no cue 'critics'; did you mean critic"):
        guard({"critics": Pair(0, 1)})


def test_each_cue_has_words():
    assert set(WORDS) == set(RULE.weights)


def cases(n=300, seed=0):
    """Tasks in which the critic foretells the gain and the clusters do not."""
    rng = np.random.default_rng(seed)
    gains = 0.1 * rng.normal(size=n)
    said = np.column_stack([0.5 * gains + 0.02 * rng.normal(size=n), 0.1 * rng.normal(size=n)])
    return [
        Case({"critic": Pair(0.5, 0.5 + a), "clusters": Pair(0.5, 0.5 + b)}, gain)
        for (a, b), gain in zip(said, gains, strict=True)
    ]


def test_a_fitted_rule_weighs_what_foretells_the_gain():
    rule = fit(cases(), ["critic", "clusters"])
    assert rule.weights["critic"] > 10 * rule.weights["clusters"]
    new = cases(seed=1)
    chosen = [case.gain for case in new if guard(case.cues, rule=rule).kept == "adapted"]
    assert np.mean(np.array(chosen) > 0) > 0.8


def test_a_cue_that_misleads_has_no_weight():
    turned = [Case({"critic": Pair(case.cues["critic"].adapted, 0.5)}, case.gain) for case in cases()]
    assert fit(turned, ["critic"]).weights["critic"] == 0


def test_cases_without_change_fit_nothing():
    with pytest.raises(BadInput, match="no cases"):
        fit([Case({}, 0.0)], ["critic"])
