import numpy as np
import pytest
from samples import shifted

from acclimate import adapt
from acclimate.errors import BadInput
from acclimate.validators.estimate.combined import Saved, parts_of
from acclimate.validators.estimate.table import apply, load
from acclimate.workflows.estimates import _check_shares, described, estimates, saved

FAST = {"method": "mcc", "steps": 100, "settings": {"train.batch_size": 16}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A Run of two seeds."""
    return adapt(
        shifted(), shifted(shift=0.2, seed=1)[0], tmp_path_factory.mktemp("estimates") / "run", seeds=2, **FAST
    )


def test_the_estimate_of_source_only_is_the_rule_applied_to_the_mean_parts_of_its_seeds(run):
    parts = [parts_of(saved(run, seed, "source_only"), critics=False, seed=seed) for seed in (0, 1)]
    mean = {name: np.mean([one[name] for one in parts]) for name in parts[0]}
    found = run.scores["source_only"]["target_estimate"]
    assert found["accuracy"] == pytest.approx(apply(load()["kinds"]["source_only"], mean).accuracy, abs=1e-6)


def test_the_interval_contains_the_estimate_of_both_models(run):
    for phase in run.recipe.phases:
        found = run.scores[phase]["target_estimate"]
        assert found["low"] <= found["accuracy"] <= found["high"]


def test_what_is_read_of_a_model_are_the_examples_with_features(run):
    model = saved(run, 0, "adapted")
    assert isinstance(model, Saved)
    assert len(model.target) == len(model.target_features) == len(shifted()[0])


def test_an_error_of_numbers_is_not_estimated(run):
    assert estimates(run, run.recipe.model_copy(update={"task": "regression", "classes": ()})) == {}


def test_too_few_examples_give_the_reason_and_not_a_number(tmp_path):
    x, y = shifted()
    run = adapt((x, y), x[:3] + 1, tmp_path / "run", **FAST | {"steps": 2})
    found = run.scores["source_only"]["target_estimate"]
    assert found == {"unknown": "3 examples of the target are too few", "labels": found["labels"]}


def test_what_an_estimate_rests_on_names_its_parts_and_its_error():
    text = described(load()["kinds"]["adapted"])
    assert "agreement with simple classifiers on the source-only model's features" in text
    assert "points on average" in text


def test_of_a_model_that_has_not_met_the_source_the_estimate_says_what_stands_in(run, tmp_path):
    after = adapt(run.path, shifted(shift=0.2, seed=3)[0], tmp_path / "run", method="shot", steps=2)
    assert "no example of the source is at hand" in after.scores["adapted"]["target_estimate"]["how"]


def test_shares_that_moved_too_far_give_no_estimate():
    half, one_sided = np.tile([[0.9, 0.1], [0.1, 0.9]], (50, 1)), np.tile([0.9, 0.1], (100, 1))
    labels = np.tile([0, 1], 50)
    _check_shares(Saved(half, labels, half))
    with pytest.raises(BadInput, match="class shares seem to differ by"):
        _check_shares(Saved(half, labels, one_sided))
