import numpy as np
import pytest
from scipy.special import softmax

from acclimate.errors import BadInput
from acclimate.validators.estimate.agreement import Bounds
from acclimate.validators.estimate.combined import (
    OWN,
    Known,
    Saved,
    Unknown,
    combine,
    parts_of,
    parts_of_adapted,
    peer_bounds,
)

RULE = {
    "names": ["a", "b"],
    "weights": [0.5, 0.5],
    "offset": 0.0,
    "slope": 1.0,
    "quantile": 2.0,
    "mae": 0.05,
    "bias": 0.0,
    "rows": 100,
    "families": 8,
}
TABLE = {"command": "", "kinds": {"source_only": RULE}}


def model(n=300, shift=0.0, gain=2.0, seed=0, features=True):
    """Outputs of a linear classifier on two domains, and the target's labels."""
    rng = np.random.default_rng(seed)
    centres = np.array([[1.5, 0], [-0.75, 1.3], [-0.75, -1.3]])
    y, z = rng.integers(3, size=(2, n))
    x, t = centres[y] + rng.normal(size=(n, 2)), centres[z] + rng.normal(size=(n, 2)) + shift
    outputs = (softmax(gain * one @ centres.T, axis=1) for one in (x, t))
    p, q = outputs
    return Saved(p, y, q, x if features else None, t if features else None), z


def test_a_rule_makes_a_point_an_interval_and_the_labels_it_is_worth():
    found = combine("source_only", {"a": 0.6, "b": 0.8}, table=TABLE)
    assert isinstance(found, Known)
    assert (found.accuracy, found.low, found.high) == pytest.approx((0.7, 0.4, 1.0))  # ± 2 · (.05 + .1)
    assert found.labels == 5


def test_a_kind_without_a_rule_is_unknown_with_the_labels_that_settle_it():
    found = combine("adapted", {"a": 0.6}, table=TABLE)
    assert isinstance(found, Unknown)
    assert "'adapted'" in found.reason
    assert found.labels == 65  # a 90 % interval of ± 10 points


def test_a_missing_part_is_unknown():
    assert combine("source_only", {"a": 0.6}, table=TABLE).reason == "parts missing: b"


def test_peers_move_the_point_into_their_bounds_and_may_contradict_it():
    parts = {"a": 0.6, "b": 0.8}
    assert combine("source_only", parts, within=[Bounds(0.2, 0.5)], table=TABLE).accuracy == 0.5
    assert "contradict" in combine("source_only", parts, within=[Bounds(0.1, 0.3)], table=TABLE).reason


def test_no_rule_of_an_adapted_model_rests_on_its_own_confidence():
    table = {"command": "", "kinds": {"adapted": {**RULE, "names": ["atc_ne", "cot"]}}}
    with pytest.raises(BadInput, match="own confidence"):
        combine("adapted", {"atc_ne": 0.9, "cot": 0.9}, table=table)


def test_without_shift_all_parts_are_near_the_truth():
    saved, truth = model(1500)
    accuracy = (saved.target.argmax(1) == truth).mean()
    parts = parts_of(saved, seeds=[saved.target])
    assert set(parts) == OWN | {"dis2_logits", "dis2_features", "checkers_features", "agreement"}
    assert max(abs(parts[name] - accuracy) for name in OWN | {"dis2_logits", "dis2_features"}) < 0.06


def test_overconfidence_is_scaled_away():
    sure, sober = parts_of(model(1500, gain=20)[0]), parts_of(model(1500, gain=2)[0])
    assert sure["doc"] == pytest.approx(sober["doc"], abs=1e-3)


def test_an_adapted_model_that_is_sure_of_one_class_is_judged_by_independent_models():
    before, _ = model(600)
    adapted = before._replace(target=np.tile([0.999, 0.0005, 0.0005], (600, 1)))
    parts = parts_of_adapted(adapted, before, source_only_accuracy=0.8, peers=[before.target])
    assert parts["doc"] > 0.9
    assert parts["peers"] < 0.45
    assert parts["transfer_low"] < 0.2
    assert parts["transfer_high"] < 0.6
    assert parts["dis2_independent"] < 0.7
    assert parts["checkers_independent"] < 0.45


def test_without_features_the_parts_that_need_them_are_absent():
    before, _ = model(200, features=False)
    parts = parts_of_adapted(before, before, source_only_accuracy=0.8)
    assert not {"dis2_independent", "checkers_independent", "dis2_features"} & set(parts)


def test_a_model_equal_to_its_peer_has_the_peers_accuracy():
    predicted = np.array([0, 1, 2])
    assert peer_bounds(predicted, predicted, Bounds(0.7, 0.8)) == (0.7, 0.8)
