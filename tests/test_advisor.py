"""Advice: every leaf of the tree, the textbook's cases, and what is read from the tree."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acclimate import advisor
from acclimate.advice import VERDICTS, Facts, Given
from acclimate.shift import effects

ROOT = Path(__file__).parents[1]
NET = {"backbone": "efficientnet_lite0"}
FAR = {"shift": "very different"}
LEAVES = {
    advisor.SOURCE_FREE: Facts(source="a Run"),
    advisor.TARGET_ALONE: Facts(source="a Run", labels_per_class=150),
    advisor.NEW_CLASSES: Facts(same_classes=False),
    advisor.NEW_HEAD: Facts(same_classes=False, **NET, labels_per_class=50),
    advisor.NEW_TOP: Facts(same_classes=False, **NET, labels_per_class=300),
    advisor.NEW_FULL: Facts(same_classes=False, **NET, labels_per_class=2000),
    advisor.NUMBERS: Facts(classes=0, **FAR),
    advisor.FULL: Facts(look="pretrained", labels_per_class=1000),
    advisor.TOP_LAYERS: Facts(look="pretrained", labels_per_class=100),
    advisor.FEW_MCC: Facts(look="pretrained", labels_per_class=5),
    advisor.LABELS_FREE: Facts(look="fresh", labels_per_class=5, n_target=900, **FAR),
    advisor.FEW_DANN: Facts(look="fresh", labels_per_class=5, n_target=60, **FAR),
    advisor.BOTH: Facts(look="table", labels_per_class=5),
    advisor.ENCODER_LABELS: Facts(look="text", labels_per_class=5),
    advisor.MULTILINGUAL: Facts(look="text", labels_per_class=5, same_language=False),
    advisor.BUY: Facts(),
    advisor.NOTHING: Facts(shift="different, but small"),
    advisor.PRIORS: Facts(label_shift="alone", **FAR),
    advisor.ENCODER: Facts(look="text", **FAR),
    advisor.OTHER_ENCODER: Facts(look="text", same_language=False, **FAR),
    advisor.BACKBONE: Facts(look="pretrained", better="timm:resnet50", **FAR),
    advisor.CHECKED: Facts(look="table", **FAR),
    advisor.UNSUPERVISED: Facts(look="pretrained", **FAR),
}
"""Facts that lead to each leaf."""


@pytest.mark.parametrize("leaf", advisor.leaves(), ids=lambda leaf: leaf.does)
def test_facts_lead_to_every_leaf(leaf):
    assert advisor.leaf_of(advisor.TREE, LEAVES[leaf]) == leaf


def textbook(kind, look, labels, classes, **more):
    return Facts(kind, look, 5000, 5000, classes, labels / classes, "very different", **{**NET, **more})


@pytest.mark.parametrize(
    ("facts", "leaf"),
    [
        (textbook("images", "pretrained", 6000, 4), advisor.FULL),
        (textbook("images", "fresh", 300, 4, same_classes=False), advisor.NEW_HEAD),
        (textbook("images", "pretrained", 3000, 10, same_classes=False), advisor.NEW_TOP),
        (textbook("text", "text", 12_000, 2, same_language=False), advisor.MULTILINGUAL),
        (textbook("images", "fresh", 120, 2), advisor.LABELS_FREE),
        (textbook("images", "pretrained", 0, 7), advisor.UNSUPERVISED),
    ],
    ids=["product photos", "X-rays", "satellite", "French", "hospital scans", "paintings"],
)
def test_the_textbooks_cases(facts, leaf):
    assert advisor.leaf_of(advisor.TREE, facts) == leaf


def test_where_our_benchmarks_contradict_the_textbook_the_advice_says_so():
    scans = advisor.advise(replace(textbook("images", "fresh", 120, 2), n_target=130))
    assert "The textbook aligns very different domains with DANN or CORAL" in scans.why
    assert "textbook" in advisor.FEW_MCC.why
    assert scans.runner_up.startswith("DANN with the labels: ")


@pytest.mark.parametrize(("labels", "leaf"), [(99, advisor.FEW_MCC), (100, advisor.TOP_LAYERS), (1000, advisor.FULL)])
def test_the_bounds_belong_to_the_upper_branch(labels, leaf):
    assert advisor.leaf_of(advisor.TREE, Facts(look="pretrained", labels_per_class=labels)) == leaf


def test_features_that_are_not_pretrained_are_not_frozen():
    table = Facts(look="table", same_classes=False, labels_per_class=20, backbone="mlp")
    assert advisor.leaf_of(advisor.TREE, table) == advisor.TARGET_ALONE


def test_a_small_difference_needs_no_adaptation_and_a_shift_of_shares_no_other():
    shares = Facts(look="table", label_shift="not alone", **FAR)
    assert advisor.advise(shares).name != "correct the class shares"
    assert advisor.advise(Facts(shift="no difference found")).name == "don't adapt"


def test_the_path_tells_each_answer_with_its_number():
    path = advisor.advise(Facts(look="pretrained", labels_per_class=99)).path
    assert path[0] == "Are examples of the source at hand? Yes"
    assert "Are there 100 or more per class? No: 99" in path


def test_the_runner_up_lies_behind_the_nearest_bound():
    assert advisor.advise(Facts(look="pretrained", labels_per_class=99)).runner_up.startswith("top layers: ")
    assert advisor.advise(Facts(look="pretrained", labels_per_class=900)).runner_up.startswith("full fine-tuning: ")


def test_without_labels_the_runner_up_needs_none():
    advice = advisor.advise(LEAVES[advisor.UNSUPERVISED])
    assert "TARGET_LABELS" not in advice.runner_up
    assert any(text.startswith("with labels: ") for text in advice.changes)


def test_what_would_change_the_advice_leads_elsewhere():
    for facts in LEAVES.values():
        advice = advisor.advise(facts)
        assert not any(text.endswith(f": {advice.name}") or text.startswith(":") for text in advice.changes)


def test_commands_are_quoted_for_a_shell():
    given = Given("my photos/", "b.csv#site=va", "few.csv", ("--label", "num"))
    [command] = advisor.advise(LEAVES[advisor.BOTH], given).commands
    words = shlex.split(command)
    assert words[:5] == ["acclimate", "adapt", "my photos/", "b.csv#site=va", "--label"]
    assert words[words.index("--target-labels") + 1] == "few.csv"


def test_the_text_of_the_tree_names_every_leaf():
    text = advisor.as_text()
    assert all(f"**{leaf.name}**" in text for leaf in advisor.leaves())


def test_advice_shows_in_a_notebook_and_becomes_json():
    advice = advisor.advise(LEAVES[advisor.UNSUPERVISED], first=("a < b",))
    assert "a &lt; b" in advice._repr_html_()
    assert advice.to_dict()["facts"]["shift"] == "very different"
    assert str(advice).splitlines()[0] == advice.does


def gains(*families):
    """The gains of the default over source-only on the tasks of some data sets."""
    lines = [json.loads(line) for line in (ROOT / "benchmarks/auto.jsonl").read_text("utf-8").splitlines()]
    of = [one for one in lines if one["family"] in families]
    return np.array([np.mean(one["kept"]) - np.mean(one["accuracy"]["source_only"]) for one in of])


def test_the_gains_that_are_told_are_those_of_the_benchmark():
    tables, others = gains("heart", "wine", "electricity"), gains("pacs", "digits", "sentences", "words")
    means = [round(gains(name).mean()) for name in ("pacs", "digits", "sentences")]
    harmed = f"it harmed on {(others < -1).sum()} of {len(others)} such tasks"
    assert advisor.UNSUPERVISED.gain.startswith(
        "{} points on photographs, paintings and cartoons, {} on".format(*means)
    )
    assert f"{means[2]} on sentences; {harmed}" in advisor.UNSUPERVISED.gain
    told = f"{tables.mean():.1f} points on average; it harmed on {(tables < -1).sum()} of {len(tables)} tasks"
    assert advisor.CHECKED.gain == told


def test_every_page_that_is_named_exists():
    assert all((ROOT / page).is_file() for leaf in advisor.leaves() for page in leaf.page.split(", "))


def test_verdicts_are_those_of_a_diagnosis():
    assert VERDICTS == effects.VERDICTS
