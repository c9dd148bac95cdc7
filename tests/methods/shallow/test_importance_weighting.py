import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import norm
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from acclimate.errors import BadInput
from acclimate.methods.shallow.importance_weighting import ImportanceWeighting
from acclimate.sklearn import Adapter


def domains(n_s=300, n_t=200, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_s, d)), rng.normal(0.5, 1, size=(n_t, d))


def test_weights_of_two_gaussians_are_their_densities_ratio():
    source, target = domains(40_000, 20_000, 1)
    weights = ImportanceWeighting().fit(source, X_target=target).weights([[-1.0], [0.0], [1.0]])
    at = np.array([-1, 0, 1])
    np.testing.assert_allclose(weights, norm.pdf(at, 0.5) / norm.pdf(at), rtol=0.05)


def test_weights_are_the_odds_of_the_target_with_mean_one():
    source, target = domains()
    method = ImportanceWeighting(C=0.3).fit(source, X_target=target)
    oracle = LogisticRegression(C=0.3).fit(np.r_[source, target], np.repeat([0, 1], [300, 200]))
    odds = np.exp(oracle.decision_function(source))
    np.testing.assert_allclose(method.weights_, odds / odds.mean(), rtol=1e-9)


def test_weights_are_one_over_skadas_which_are_the_odds_of_the_source(skada):
    source, target = domains()
    theirs = skada.DiscriminatorReweightAdapter()
    _, weighted = theirs.fit_transform(np.r_[source, target], sample_domain=np.repeat([1, -2], [300, 200]))
    product = weighted["sample_weight"][:300] * ImportanceWeighting().fit(source, X_target=target).weights_
    np.testing.assert_allclose(product, product[0], rtol=1e-6)


def test_no_weight_is_above_its_bound():
    source, target = domains()
    method = ImportanceWeighting(classifier=RandomForestClassifier(20, random_state=0), max_weight=5)
    weights = method.fit(source, X_target=target + 5).weights(target + 5)
    np.testing.assert_allclose(weights * method.scale_, 5)


def test_the_adapter_gives_the_weights_to_its_classifier():
    source, target = domains()
    y = source[:, 0] > 0
    weights = ImportanceWeighting().fit(source, X_target=target).weights_
    by_hand = LogisticRegression().fit(source, y, sample_weight=weights)
    for classifier in (LogisticRegression(), make_pipeline(StandardScaler(with_mean=False, with_std=False), by_hand)):
        adapter = Adapter(classifier, method="importance_weighting").fit(source, y, X_target=target)
        np.testing.assert_allclose(adapter.predict_proba(target), by_hand.predict_proba(target))


def test_a_classifier_that_takes_no_weights_is_told_so_in_one_line():
    source, target = domains()
    with pytest.raises(BadInput, match="KNeighborsClassifier accepts no sample_weight") as error:
        Adapter(KNeighborsClassifier(), method="importance_weighting").fit(source, source[:, 0] > 0, X_target=target)
    assert "\n" not in str(error.value)


def test_the_adapter_takes_sparse_rows():
    source, target = (csr_matrix(rows.clip(0)) for rows in domains())
    y = np.arange(300) % 2
    assert Adapter(method="importance_weighting").fit(source, y, X_target=target).predict(target).shape == (200,)
