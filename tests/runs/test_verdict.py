"""What a Run means and what to do next, by its scores."""

import pytest

from acclimate.recipe import DomainSpec, Recipe
from acclimate.runs.verdict import verdict

CLEAR = {"measure": "accuracy", "difference": 0.2, "low": 0.15, "high": 0.25, "n": 600, "seeds": 1}
UNCLEAR = {**CLEAR, "difference": 0.01, "low": -0.04, "high": 0.06}


def verdict_of(
    before=0.6, after=0.8, *, change=None, kept="adapted", seeds=(0, 1), n=600, sizes=None, audited=None, **recipe
):
    spec = {"source": DomainSpec(path="s"), "target": DomainSpec(path="t"), "method": "mcc", "backbone": "mlp"}
    parts = {
        name: {"source_val": {"accuracy": 0.9}, **({} if value is None else {"target": {"accuracy": value, "n": n}})}
        for name, value in (("source_only", before), ("adapted", after))
    }
    scores = {**parts[kept], **parts, "kept": kept, "seeds": list(seeds), "change": change}
    return verdict({k: v for k, v in scores.items() if v is not None}, Recipe(**spec | recipe), sizes or {}, audited)


def commands(found):
    return [step.command for step in found.steps]


def test_without_labels_it_asks_for_about_100():
    found = verdict_of(None, None)
    assert "Nothing shows yet" in found.text
    assert "about 100 examples" in found.steps[0].text
    assert commands(found)[0] == "acclimate audit RUN TARGET --ask 100 -o to_label.csv"


@pytest.mark.parametrize(
    ("low", "high", "text", "command"),
    [
        (0.1, 0.3, "Adaptation helps on", "acclimate predict RUN INPUT -o predictions.csv"),
        (-0.1, 0.3, "do not show", "acclimate audit RUN TARGET --ask 100 -o to_label.csv"),
        (-0.3, -0.1, "Adaptation harms", "acclimate predict RUN INPUT -o predictions.csv --model source_only"),
    ],
)
def test_an_audit_counts_where_no_score_is_known(low, high, text, command):
    change = {**CLEAR, "difference": (low + high) / 2, "low": low, "high": high}
    found = verdict_of(None, None, audited={"source_only": {"accuracy": 0.6}, "change": change})
    assert text in found.text
    assert commands(found)[0] == command


def test_a_clear_gain_predicts():
    found = verdict_of(after=0.85, change=CLEAR)
    assert found.text == "Adaptation helps."
    assert commands(found) == ["acclimate predict RUN INPUT -o predictions.csv"]


def test_a_clear_loss_predicts_without_adaptation_and_tries_another_method():
    found = verdict_of(0.6, 0.5, change={**CLEAR, "low": -0.14, "high": -0.06, "difference": -0.1})
    assert commands(found) == [
        "acclimate predict RUN INPUT -o predictions.csv --model source_only",
        "acclimate adapt … --method dann",
    ]


def test_a_loss_that_was_caught_needs_no_option():
    lost = {**CLEAR, "low": -0.14, "high": -0.06, "difference": -0.1}
    found = verdict_of(0.6, 0.5, change=lost, kept="source_only")
    assert commands(found)[0] == "acclimate predict RUN INPUT -o predictions.csv"
    assert "is kept" in found.text


def test_a_gain_of_a_rejected_model_names_the_option_that_uses_it():
    found = verdict_of(change=CLEAR, kept="source_only")
    assert commands(found)[0].endswith("--model adapted")


def test_an_unclear_change_asks_for_the_examples_that_would_show_two_points():
    found = verdict_of(0.7, 0.71, change=UNCLEAR)  # half the interval is 5 points: 600 · (5 / 2)² = 3 750
    assert "about 3,800 would show a change as small as 2 points" in found.steps[0].text
    assert commands(found)[1] == "acclimate adapt … --method dann"


def test_no_more_examples_where_there_are_enough():
    found = verdict_of(0.7, 0.71, change={**UNCLEAR, "low": -0.005, "high": 0.012})
    assert commands(found) == ["acclimate adapt … --method dann"]


def test_nothing_to_win_is_said():
    assert "little to win" in verdict_of(0.89, 0.9, change=UNCLEAR).text


def test_a_large_rest_asks_for_target_labels():
    assert "--target-labels" in verdict_of(0.4, 0.6, change=CLEAR).steps[1].command


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 30}, "with 30, a few of them decide"),
        ({"sizes": {"target": 12}}, "from 12 there is little to learn"),
        ({"seeds": (0,)}, "more seeds before you compare"),
    ],
)
def test_doubts_are_told(given, said):
    assert any(said in step.text for step in verdict_of(after=0.85, change=CLEAR, **given).steps)
    assert not any(said in step.text for step in verdict_of(after=0.85, change=CLEAR).steps)


def test_the_other_method_can_be_used_with_what_the_run_has():
    assert commands(verdict_of(0.7, 0.71, change=UNCLEAR, origin="run"))[-1].endswith("--method shot")
    assert commands(verdict_of(0.7, 0.71, change=UNCLEAR, backbone="linear", method="coral"))[-1].endswith(
        "--method importance_weighting"
    )
