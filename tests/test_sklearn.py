import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from acclimate.errors import BadInput
from acclimate.methods.shallow.coral import CORAL
from acclimate.methods.shallow.importance_weighting import ImportanceWeighting
from acclimate.sklearn import Adapter, AdapterRegressor


@pytest.fixture
def turned():
    """Two classes that part along one axis of a long cloud; the target's cloud lies elsewhere and is another one."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(["no", "yes"], 60))
    rows = rng.normal(size=(120, 3))
    rows[:, 0] += np.where(y == "yes", 3, -3)
    return rows, y, rows[:90] @ np.diag([1, 5, 0.2]) + [9, 0, 4], y[:90]


def test_without_a_target_it_warns_that_nothing_is_adapted(turned):
    X, y, *_ = turned
    with pytest.warns(UserWarning, match="no X_target is given, so nothing is adapted"):
        Adapter().fit(X, y)


def test_an_adapted_classifier_is_right_where_the_plain_one_is_not(turned):
    X, y, X_target, y_target = turned
    assert LogisticRegression().fit(X, y).score(X_target, y_target) < 0.7
    assert Adapter(method="coral").fit(X, y, X_target=X_target).score(X_target, y_target) > 0.95


def test_it_is_the_classifier_on_what_the_method_gives(turned):
    X, y, X_target, _ = turned
    coral = CORAL(reg=0.1).fit(X, X_target=X_target)
    by_hand = LogisticRegression(C=3).fit(coral.transform_source(X), y)
    adapter = Adapter(LogisticRegression(C=3), method="coral", options={"reg": 0.1}).fit(X, y, X_target=X_target)
    np.testing.assert_allclose(adapter.predict_proba(X_target), by_hand.predict_proba(X_target))
    assert adapter.source_score(X, y) == by_hand.score(coral.transform_source(X), y)


def test_a_scikit_learn_pipeline_does_the_same(turned):
    X, y, X_target, _ = turned
    pipeline = make_pipeline(CORAL(), LogisticRegression(max_iter=1000)).fit(X, y, coral__X_target=X_target)
    adapter = Adapter().fit(X, y, X_target=X_target)
    np.testing.assert_allclose(pipeline.predict_proba(X_target), adapter.predict_proba(X_target))


def test_grid_search_chooses_options_on_the_source(turned):
    X, y, X_target, _ = turned
    grid = {"method__reg": [0.1, 1.0], "estimator__C": [0.1, 1.0]}
    search = GridSearchCV(Adapter(LogisticRegression(), method=CORAL()), grid, cv=3, scoring=Adapter.source_score)
    assert search.fit(X, y, X_target=X_target).best_score_ > 0.95


def test_cross_validation_takes_the_target_as_a_fit_parameter(turned):
    X, y, X_target, _ = turned
    scores = cross_val_score(Adapter(), X, y, params={"X_target": X_target}, scoring=Adapter.source_score)
    assert scores.min() > 0.9


def test_a_clone_is_fitted_alike(turned):
    X, y, X_target, _ = turned
    first = Adapter(LinearSVC(), options={"reg": 0.3}).fit(X, y, X_target=X_target)
    again = clone(first).fit(X, y, X_target=X_target)
    np.testing.assert_array_equal(first.decision_function(X_target), again.decision_function(X_target))


def test_it_has_probabilities_if_its_classifier_has():
    assert hasattr(Adapter(), "predict_proba")
    assert not hasattr(Adapter(LinearSVC()), "predict_proba")


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (Adapter(method="corall"), "no method 'corall'; did you mean coral"),
        (Adapter(options={"rge": 1}), "method coral has no option 'rge'; did you mean reg"),
        (Adapter(method="tca", options={"kernel": "cubic"}), "method tca: option kernel='cubic' is invalid"),
        (Adapter(method=CORAL(), options={"reg": 1}), "pass the options to CORAL"),
        (Adapter(method=LinearSVC()), "LinearSVC.fit takes no target"),
    ],
)
def test_unknown_arguments_get_one_clear_message(turned, adapter, message):
    with pytest.raises(BadInput, match=message):
        adapter.fit(*turned[:2])


def test_a_target_of_other_columns_is_refused_by_name(turned):
    X, y, X_target, _ = turned
    with pytest.raises(BadInput, match="X_target: X has 2 features"):
        Adapter().fit(X, y, X_target=X_target[:, :2])


def test_an_unknown_domain_is_refused(turned):
    with pytest.raises(BadInput, match="unknown domain; use 'source' or 'target'"):
        Adapter().fit(*turned[:2], X_target=turned[2]).predict(turned[2], domain="test")


def test_an_adapter_of_skadas_replaces_the_method(turned, skada):
    X, y, X_target, _ = turned
    ours = Adapter(method=CORAL(reg=0)).fit(X, y, X_target=X_target)
    theirs = Adapter(method=skada.CORALAdapter(reg=None)).fit(X, y, X_target=X_target)
    for domain, rows in (("source", X), ("target", X_target)):
        np.testing.assert_array_equal(ours.predict(rows, domain=domain), theirs.predict(rows, domain=domain))


def test_weights_of_skadas_reach_the_classifier(turned, skada):
    X, y, X_target, _ = turned
    adapter = Adapter(method=skada.DensityReweightAdapter()).fit(X, y, X_target=X_target)
    by_hand = LogisticRegression(max_iter=1000).fit(X, y, sample_weight=adapter.method_.weights_)
    np.testing.assert_allclose(adapter.predict_proba(X_target), by_hand.predict_proba(X_target))


@pytest.mark.parametrize("kind", ["CORAL", "JDOTClassifier"])
def test_an_estimator_of_skadas_replaces_both(turned, skada, kind):
    X, y, X_target, _ = turned
    theirs = getattr(skada, kind)(LogisticRegression())
    adapter = Adapter(method=theirs).fit(X, y, X_target=X_target)
    labels = np.r_[y == "yes", np.full(len(X_target), -1)]
    by_hand, domains = clone(theirs), np.repeat([1, -2], [len(X), len(X_target)])
    by_hand.fit(np.r_[X, X_target], labels, sample_domain=domains)
    np.testing.assert_array_equal(adapter.predict(X_target) == "yes", by_hand.predict(X_target) == 1)
    assert adapter.predict_proba(X_target).shape == (len(X_target), 2)


def test_an_estimator_of_skadas_excludes_another(turned, skada):
    with pytest.raises(BadInput, match="JDOTClassifier is already an estimator; remove estimator"):
        Adapter(LogisticRegression(), method=skada.JDOTClassifier()).fit(*turned[:2], X_target=turned[2])


def test_columns_in_another_order_are_refused(turned):
    X, y, X_target, _ = turned
    source, target = pd.DataFrame(X, columns=[*"abc"]), pd.DataFrame(X_target, columns=[*"acb"])
    with pytest.raises(BadInput, match="X_target: The feature names should match"):
        Adapter().fit(source, y, X_target=target)


@pytest.fixture
def moved():
    """Numbers that follow one axis; the target's cloud lies elsewhere and is stretched."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 3))
    y = 50 + 10 * rows[:, 0] + rng.normal(size=120)
    return rows, y, rows[:90] * [1, 5, 0.2] + [9, 0, 4], y[:90]


def test_an_adapted_regressor_is_accurate_where_the_plain_one_is_not(moved):
    X, y, X_target, y_target = moved
    assert Ridge().fit(X, y).score(X_target, y_target) < 0
    assert AdapterRegressor(method="coral").fit(X, y, X_target=X_target).score(X_target, y_target) > 0.95


def test_it_is_the_regressor_on_what_the_method_gives(moved):
    X, y, X_target, _ = moved
    coral = CORAL(reg=0.1).fit(X, X_target=X_target)
    by_hand = KNeighborsRegressor(3).fit(coral.transform_source(X), y)
    adapter = AdapterRegressor(KNeighborsRegressor(3), options={"reg": 0.1}).fit(X, y, X_target=X_target)
    np.testing.assert_allclose(adapter.predict(X_target), by_hand.predict(X_target))
    assert adapter.source_score(X, y) == by_hand.score(coral.transform_source(X), y)


def test_weights_reach_the_regressor(moved):
    X, y, X_target, _ = moved
    weights = ImportanceWeighting().fit(X, X_target=X_target).weights_
    adapter = AdapterRegressor(Ridge(), method="importance_weighting").fit(X, y, X_target=X_target)
    by_hand = Ridge().fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(adapter.predict(X_target), by_hand.predict(X_target))


def test_a_regressor_that_takes_no_weights_is_refused(moved):
    X, y, X_target, _ = moved
    with pytest.raises(BadInput, match="KNeighborsRegressor accepts no sample_weight"):
        AdapterRegressor(KNeighborsRegressor(), method="kernel_mean_matching").fit(X, y, X_target=X_target)


def test_an_adapter_of_skadas_goes_before_a_regressor(moved, skada):
    X, y, X_target, _ = moved
    ours = AdapterRegressor(method=CORAL(reg=0)).fit(X, y, X_target=X_target)
    theirs = AdapterRegressor(method=skada.CORALAdapter(reg=None)).fit(X, y, X_target=X_target)
    np.testing.assert_allclose(ours.predict(X_target), theirs.predict(X_target), rtol=0.01)  # skada's C is over n


def test_a_regressor_of_skadas_replaces_both(moved, skada):
    X, y, X_target, _ = moved
    adapter = AdapterRegressor(method=skada.JDOTRegressor(Ridge())).fit(X, y, X_target=X_target)
    assert np.abs(adapter.predict(X_target) - y.mean()).max() < 60


def test_the_pipeline_of_the_docs_runs_as_it_stands_there():
    page = (Path(__file__).parents[1] / "docs/linear.md").read_text("utf-8")
    code = next(part for part in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "GridSearchCV" in part)
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(120, 5)), rng.normal(size=(90, 5)) * 2 + 1
    told = {"X": X, "y": (X[:, 0] > 0).astype(int), "X_target": X_target}
    with sklearn.config_context():  # restores what the code sets
        exec(code, told)
        predicted = told["search"].predict(X_target)
    assert np.mean(predicted == (X_target[:, 0] > 1)) > 0.85
