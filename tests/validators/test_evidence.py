import numpy as np
import pytest

from acclimate.errors import BadInput
from acclimate.validators.estimate.combined import Saved
from acclimate.validators.evidence import checkers, clusters, critic, shares, source, stability

CENTRES = np.array([[2.0, 0], [-1.0, 1.7], [-1.0, -1.7]])


def outputs(predicted, k=3, sure=0.9):
    """Probabilities with these predicted classes."""
    return np.eye(k)[predicted] * (sure - (1 - sure) / (k - 1)) + (1 - sure) / (k - 1)


def world(n=600, seed=0):
    """Source-only's outputs, which turn wrong in a third of the target, and the target's labels."""
    rng = np.random.default_rng(seed)
    y, z = rng.integers(3, size=(2, n))
    x, t = (CENTRES[one] + 0.6 * rng.normal(size=(n, 2)) for one in (y, z))
    wrong = np.where(rng.random(n) < 1 / 3, (z + 1) % 3, z)
    return Saved(outputs((x @ CENTRES.T).argmax(1)), y, outputs(wrong), x, t), z


def with_target(saved, predicted):
    return saved._replace(target=outputs(predicted))


def test_critics_and_clusters_see_that_adaptation_repaired_the_predictions():
    before, truth = world()
    repaired = with_target(before, truth)
    assert critic(before, repaired).gain > 0.05
    assert clusters(before.target_features, before.target.argmax(1), truth, 3).gain > 0.3


def test_checkers_side_with_the_model_that_is_right():
    before, truth = world()
    repaired = with_target(before, truth)
    assert checkers(before, repaired).gain > 0.2
    assert checkers(repaired, before).gain < -0.2


def test_checkers_agree_with_themselves_at_most():
    before, truth = world()
    pair = checkers(with_target(before, truth), with_target(before, truth))
    assert pair.source_only == pair.adapted <= 1


@pytest.mark.parametrize("merged", [[0, 0, 2], [0, 0, 0]])
def test_clusters_see_merged_classes_and_one_class(merged):
    before, truth = world()
    right, wrong = truth, np.array(merged)[truth]
    assert clusters(before.target_features, right, wrong, 3).gain < -0.2


def test_confident_noise_is_seen_by_critics_and_clusters():
    before, truth = world()
    sound, noise = with_target(before, truth), np.random.default_rng(1).integers(3, size=len(truth))
    assert critic(sound, with_target(before, noise)).gain < -0.1
    assert clusters(before.target_features, truth, noise, 3).adapted < 0.05


@pytest.mark.parametrize("cue", [critic, checkers])
def test_critics_and_checkers_need_features(cue):
    before, _ = world(50)
    with pytest.raises(BadInput, match="features"):
        cue(before._replace(target_features=None), before)


def test_checkers_need_two_classes():
    before, _ = world(50)
    with pytest.raises(BadInput, match="two classes"):
        checkers(before._replace(labels=np.zeros(50, int)), before)


def test_stability_is_agreement_of_seeds():
    before, after = np.array([[0, 1, 1, 2], [0, 1, 2, 1]]), np.array([[0, 1, 1, 2], [0, 1, 1, 1]])
    assert stability(before, after) == (0.5, 0.75)


def test_balanced_predictions_of_an_unbalanced_target_are_far_from_its_shares():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(2, size=500), (rng.random(500) < 0.1).astype(int)
    before = Saved(outputs(labels, 2), labels, outputs(truth, 2))
    pair = shares(before, before._replace(target=outputs(rng.integers(2, size=500), 2)))
    assert pair.source_only == pytest.approx(1)
    assert pair.adapted == pytest.approx(0.6, abs=0.05)


def test_source_is_the_accuracy_on_the_held_out_source():
    labels = np.array([0, 1, 2, 0])
    saved = Saved(outputs(labels), labels, outputs(labels))
    assert source(saved, saved._replace(source=outputs(np.array([0, 1, 1, 1])))) == (1, 0.5)


def test_fewer_examples_than_classes_are_refused():
    with pytest.raises(BadInput, match="at least 3 target examples"):
        clusters(np.zeros((2, 2)), np.array([0, 1]), np.array([0, 1]), 3)
