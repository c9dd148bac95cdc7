"""From two domains to facts, and from facts to commands that run."""

import shlex

import numpy as np
import pytest
import samples

import acclimate
from acclimate.advice import Facts
from acclimate.data.source import as_domain
from acclimate.errors import BadInput
from acclimate.shift.findings import Finding, Findings
from acclimate.workflows import advise as workflow


def test_vectors_are_facts_of_a_diagnosis():
    x, y = samples.shifted(200)
    facts = acclimate.advise((x, y), samples.shifted(150, shift=3, seed=1)[0]).facts
    assert (facts.kind, facts.n_source, facts.n_target, facts.classes) == ("vectors", 200, 150, 2)
    assert facts.shift == "very different"
    assert facts.overlap < 0.3


def test_the_same_distribution_needs_no_adaptation():
    advice = acclimate.advise(samples.shifted(100), samples.shifted(100, seed=1)[0])
    assert advice.name == "don't adapt"


@pytest.mark.slow
def test_labels_of_the_target_are_counted_per_class():
    few = tuple(part[:10] for part in samples.shifted(200, shift=3, seed=2))
    target = samples.shifted(200, shift=3, seed=1)[0]
    assert acclimate.advise(samples.shifted(200), target, target_labels=few).facts.labels_per_class == 5
    more = acclimate.advise(samples.shifted(200), target, target_labels=few, labels_per_class=40)
    assert more.facts.labels_per_class == 40


def test_labels_of_other_classes_train_on_the_target():
    x, y = samples.shifted(200, shift=3, seed=1)
    advice = acclimate.advise(samples.shifted(200), x, target_labels=(x[:20], y[:20] + 7))
    assert not advice.facts.same_classes
    assert advice.commands[0].startswith("acclimate adapt TARGET_LABELS TARGET ")


def test_a_run_stands_in_for_the_source(finished_run, tmp_path):
    target = samples.arrays(tmp_path / "t.npz", seed=4)
    advice = acclimate.advise(finished_run, target)
    assert advice.commands == (f"acclimate adapt {finished_run} {target} -o runs/advised",)


def test_numbers_get_the_default_for_numbers(tmp_path):
    tables = samples.prices(tmp_path / "a.csv"), samples.prices(tmp_path / "b.csv", shift=2, seed=1)
    advice = acclimate.advise(*tables, label="price")
    assert advice.facts.classes == 0
    assert advice.name == "unsupervised adaptation of a regression"


def test_few_examples_are_not_compared():
    x, y = samples.shifted(12)
    assert acclimate.advise((x, y), x[:6]).name == "buy 50 labels"


@pytest.mark.parametrize(
    ("rest", "shares", "says"),
    [(None, 3, "unknown"), (3, 3, "not alone"), (0, 3, "alone"), (0, 0, "none")],
)
def test_the_shares_of_the_classes_explain_all_only_if_nothing_else_is_left(rest, shares, says):
    words = ("no difference found", "different, but small", "different", "very different")
    tests = [Finding("label", "classes", "t", 0, 0, 1, words[shares], "")]
    if rest is not None:
        tests.append(Finding("label", "beyond class shares", "t", 0, 0, 1, words[rest], ""))
    assert workflow.label_shift_of(Findings("a", "b", "vectors", 9, 9, tests=tuple(tests))) == says


@pytest.mark.parametrize(
    ("size", "grey", "look"), [(16, False, "fresh"), (96, False, "pretrained"), (96, True, "fresh")]
)
def test_small_and_grey_images_are_unlike_photographs(tmp_path, size, grey, look):
    folder = samples.images(tmp_path / "a", size=size)
    if grey:
        for path in folder.rglob("*.png"):
            samples.picture(size=size).convert("L").save(path)
    domain = acclimate.load(folder)
    assert workflow._look(domain, domain) == look


def test_texts_of_two_languages_share_few_frequent_words():
    english = as_domain(["the book was good and the film was not"] * 9, name="english")
    french = as_domain(["le livre était bon et le film ne l'était pas"] * 9, name="french")
    assert workflow._same_language(english, english)
    assert not workflow._same_language(english, french)


def test_backbones_are_compared_by_pas_before_any_training(monkeypatch, tmp_path):
    source, target = (samples.images(tmp_path / name, each=8, seed=i) for i, name in enumerate("ab"))
    apart = {"efficientnet_lite0": 1.0, "timm:resnet18": 0.1}

    def features(name, source, target):
        rng = np.random.default_rng(0)
        near, far = np.eye(2)[source.codes(source.classes)], np.eye(2)[np.arange(len(target)) % 2]
        return tuple(one + apart[name] * rng.normal(size=one.shape) for one in (near, far))

    monkeypatch.setattr(workflow, "_features", features)
    domains = acclimate.load(source), acclimate.load(target)
    scores = workflow.rank(*domains, list(apart))
    assert 1 > scores["timm:resnet18"] > 1.1 * scores["efficientnet_lite0"] > 0
    assert workflow._better(Facts(backbone="efficientnet_lite0"), scores) == "timm:resnet18"
    assert workflow._better(Facts(backbone="timm:resnet18"), scores) == ""


def test_pas_of_real_features_is_between_0_and_1(tmp_path):
    domain = acclimate.load(samples.images(tmp_path / "a", each=3, size=32))
    [score] = workflow.rank(domain, domain, ["cnn"]).values()
    assert 0 <= score <= 1


def test_the_printed_command_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, target = samples.arrays(tmp_path / "a.npz", n=60), samples.arrays(tmp_path / "b.npz", n=60, seed=1)
    few = samples.arrays(tmp_path / "few.npz", n=8, seed=2)
    [command] = acclimate.advise(source, target, target_labels=few).commands
    words = shlex.split(command)[2:]
    options = {a.removeprefix("--").replace("-", "_"): b for a, b in zip(words[4::2], words[5::2], strict=True)}
    run = acclimate.adapt(words[0], words[1], words[3], steps=2, **options)
    assert run.recipe.target_labels.n == 8


def test_a_run_that_learnt_from_labels_of_the_target_is_adapted_without_them(tmp_path):
    few, target = samples.shifted(20, shift=3, seed=2), samples.shifted(60, shift=3, seed=1)[0]
    acclimate.adapt(
        samples.shifted(60), target, tmp_path / "labelled", method="source_only", target_labels=few, steps=2
    )
    run = acclimate.adapt(tmp_path / "labelled", target, tmp_path / "run", method="shot", steps=2)
    assert run.recipe.target_labels is None


@pytest.mark.parametrize(
    ("given", "says"), [({"labels_per_class": -1}, "labels_per_class: -1"), ({"named": ["x"]}, "backbones: ")]
)
def test_what_cannot_be_is_refused(given, says):
    with pytest.raises(BadInput, match=says):
        acclimate.advise(samples.shifted(60), samples.shifted(60, seed=1)[0], **given)
