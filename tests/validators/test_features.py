"""Validators that look at features."""

from dataclasses import replace

import numpy as np
import pytest
from candidates import confident_noise, healthy, one_class, source_only, task

from acclimate import validators
from acclimate.errors import BadInput
from acclimate.validators.candidate import Candidate
from acclimate.validators.class_ami import class_ami
from acclimate.validators.density_ratio import density_ratio, effective_sample_size, importance_weights
from acclimate.validators.dev import dev_risk
from acclimate.validators.devn import standardised
from acclimate.validators.importance_weighted_accuracy import weighted_accuracy
from acclimate.validators.pas import centroid_margin
from acclimate.validators.transfer_score import hopkins, uniformity

TASK = task()
HEALTHY = healthy(TASK)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def score(name, candidate=HEALTHY):
    return validators.get(name)().score(candidate)


def test_class_ami_is_one_where_classes_are_the_clusters_and_zero_where_they_are_not(rng):
    classes = np.arange(90) % 3
    features = np.eye(3)[classes] + 0.05 * rng.standard_normal((90, 3))
    assert class_ami((classes + 1) % 3, features, 3) == pytest.approx(1)
    assert abs(class_ami(rng.permutation(classes), features, 3)) < 0.1


def test_class_ami_does_not_depend_on_the_length_of_features(rng):
    lengths = rng.uniform(0.01, 100, (400, 1))
    scaled = replace(HEALTHY, target_features=HEALTHY.target_features * lengths)
    assert score("class_ami", scaled) == pytest.approx(score("class_ami"))


def test_class_ami_of_one_class_is_zero_even_if_all_features_are_equal():
    assert class_ami(np.zeros(9, int), np.ones((9, 2)), 3) == 0


def test_the_density_ratio_of_two_gaussians_is_found(rng):
    source, target = rng.standard_normal((3000, 1)), rng.standard_normal((3000, 1)) + 0.5
    true = np.exp(0.5 * source[:, 0] - 0.125)
    assert np.corrcoef(np.log(density_ratio(source, target)), np.log(true))[0, 1] > 0.999
    assert np.abs(density_ratio(source, target) - true).mean() < 0.1


def test_weights_have_mean_one_whatever_the_sizes_of_the_domains(rng):
    source, target = rng.standard_normal((500, 1)), rng.standard_normal((4000, 1)) + 0.5
    assert density_ratio(source, target).mean() == pytest.approx(1, abs=0.05)


def test_the_effective_sample_size_counts_equal_weights():
    assert effective_sample_size(np.array([2.0, 2.0, 0.0])) == 2


@pytest.mark.parametrize(
    ("shift", "says"),
    [
        (8, "no source examples are like the target's"),
        (0, r"leave \d+ effective of 400 source examples, fewer than 30"),
    ],
)
def test_importance_weights_are_refused_where_the_domains_hardly_overlap(shift, says):
    lone = HEALTHY.source_features.copy()
    lone[9:] -= 8 - shift
    apart = replace(HEALTHY, source_features=lone, target_features=HEALTHY.target_features + shift)
    with pytest.raises(BadInput, match=says):
        importance_weights(apart)


def test_weighted_accuracy_by_hand():
    assert weighted_accuracy(np.array([True, False]), np.array([1.0, 3.0])) == 0.25


def test_weighted_accuracy_foresees_a_covariate_shift(rng):
    x, t = rng.uniform(-1, 1, (2000, 1)), rng.uniform(-1, 1, (4000, 1))
    t = t[rng.random(4000) < np.exp(t[:, 0] - 1)]  # denser where x is large
    p, q = (np.stack([1 - (v > 0), v > 0], 1)[:, :, 0].astype(float) for v in (x, t))
    labels = (x[:, 0] > -0.5).astype(int)  # wrong between -0.5 and 0
    true = (q.argmax(1) == (t[:, 0] > -0.5)).mean()
    found = Candidate("dann", p, labels, q, source_features=x, target_features=t)
    assert abs(score("source_accuracy", found) - true) > 0.05
    assert abs(score("importance_weighted_accuracy", found) - true) < 0.02


def test_the_control_variate_is_that_of_numpys_covariance(rng):
    losses, weights = (rng.random(50) < 0.3).astype(float), rng.exponential(1, 50)
    c = np.cov(weights * losses, weights)
    assert dev_risk(losses, weights) == pytest.approx(
        (weights * losses).mean() - c[0, 1] / c[1, 1] * (weights.mean() - 1)
    )


def test_the_risk_of_a_constant_loss_does_not_depend_on_the_weights(rng):
    assert dev_risk(np.full(20, 0.4), rng.exponential(3, 20)) == pytest.approx(0.4)


def test_equal_weights_leave_the_plain_risk():
    losses = np.array([1.0, 0, 0, 1])
    assert dev_risk(losses, np.ones(4)) == dev_risk(losses, standardised(np.full(4, 7.0))) == 0.5


def test_devn_corrects_the_mean_loss_by_its_covariance_with_the_weights(rng):
    losses, weights = (rng.random(50) < 0.3).astype(float), rng.exponential(1, 50)
    expected = losses.mean() + np.cov(losses, weights, ddof=0)[0, 1] / weights.std()
    assert dev_risk(losses, standardised(weights)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["dev", "devn"])
def test_dev_is_near_minus_the_target_error(name):
    close = source_only(task(shift=0.1, apart=2.0))
    error = (close.predicted != task(shift=0.1, apart=2.0).target[1]).mean()
    assert abs(score(name, close) + error) < 0.1


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_regular_simplex_is_even(k):
    assert uniformity(3 * (np.eye(k) - 1 / k)) == pytest.approx(0, abs=1e-12)


def test_two_classes_with_one_direction_are_as_uneven_as_can_be():
    assert uniformity(np.array([[1.0, 0], [2, 0]])) == pytest.approx(np.pi**2)


def test_hopkins_tells_clusters_from_uniform_points(rng):
    clusters = np.repeat(rng.uniform(0, 1, (5, 2)), 100, 0) + 0.001 * rng.standard_normal((500, 2))
    assert abs(hopkins(rng.uniform(0, 1, (1000, 2))) - 0.5) < 0.15
    assert hopkins(clusters) > 0.99


def test_hopkins_in_logarithms_is_the_plain_ratio_and_survives_many_features(rng):
    x = np.array([[0.0, 0], [1, 0], [0, 2]])
    rng = np.random.default_rng(0)
    anywhere, row = rng.uniform(x.min(0), x.max(0), (1, 2)), rng.choice(3, 1, replace=False)
    u = np.linalg.norm(x - anywhere, axis=1).min() ** 2
    w = np.sort(np.linalg.norm(x - x[row], axis=1))[1] ** 2
    assert hopkins(x) == pytest.approx(u / (u + w))
    assert np.isfinite(hopkins(1e3 * rng.standard_normal((50, 600))))
    assert hopkins(np.ones((9, 600))) == 0.5


def test_the_transfer_score_is_the_sum_of_its_parts():
    given = replace(HEALTHY, target=np.eye(4)[np.arange(400) % 4], head=np.eye(4) - 1 / 4)
    assert score("transfer_score", given) == pytest.approx(hopkins(given.target_features) + 1)


def test_acm_loses_a_third_of_what_the_second_view_changes():
    views = [np.eye(4)[(HEALTHY.predicted + (np.arange(400) < changed)) % 4] for changed in (0, 100)]
    steady, unsteady = (score("acm", replace(HEALTHY, second_view=view)) for view in views)
    assert steady - unsteady == pytest.approx(0.25 / 3)


def test_acm_sees_through_confident_noise_and_one_class():
    steady = replace(HEALTHY, second_view=HEALTHY.target)
    for collapse in (confident_noise, one_class):
        planted = collapse(HEALTHY)
        assert score("acm", replace(planted, second_view=planted.target)) < score("acm", steady) - 0.1


def test_reverse_validation_leads_back_to_the_source_or_does_not():
    wrong = replace(HEALTHY, target=np.roll(HEALTHY.target, 1, axis=1))
    assert score("reverse_validation") > 0.9
    assert score("reverse_validation", wrong) < 0.1


def test_reverse_validation_of_one_class_is_that_classs_share_of_the_source():
    assert score("reverse_validation", one_class(HEALTHY)) == (HEALTHY.labels == 0).mean()


def test_circular_validation_is_chance_where_features_know_nothing_of_the_classes(rng):
    scrambled = replace(HEALTHY, labels=rng.permutation(HEALTHY.labels))
    assert score("circular_validation") > 0.9
    assert abs(score("circular_validation", scrambled) - 0.25) < 0.1


def test_circular_validation_does_not_see_the_predictions():
    assert score("circular_validation", confident_noise(HEALTHY)) == score("circular_validation")


@pytest.mark.parametrize(("at", "margin"), [([2.0, 0], 1), ([3.0, 3], 0), ([1.0, np.sqrt(3)], 1 - (2 - 3**0.5))])
def test_the_margin_between_centroids_by_hand(at, margin):
    source, labels = np.array([[1.0, 0], [3, 0], [0, 1]]), np.array([0, 0, 1])
    ratio = {1: 1, 0: 0}.get(margin, 1 - (1 - np.sqrt(3) / 2) / (1 - 1 / 2))
    assert centroid_margin(source, labels, np.array([at])) == pytest.approx(ratio)


def test_features_of_some_rows_are_scored_with_the_predictions_of_those_rows():
    rows = np.arange(0, 400, 2)
    some = replace(HEALTHY, target_features=HEALTHY.target_features[rows], target_rows=rows)
    halved = replace(
        HEALTHY,
        **{p: getattr(HEALTHY, p)[rows] for p in ("target", "target_features")},
        second_view=None,
        pairs=None,
        mixed=None,
    )
    assert score("class_ami", some) == score("class_ami", halved)
