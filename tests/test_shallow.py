"""A new file under acclimate/methods/shallow/ is tested here without being named here."""

import inspect

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.utils.estimator_checks import check_estimator

from acclimate import methods
from acclimate.errors import BadInput
from acclimate.methods import shallow
from acclimate.sklearn import Adapter, AdapterRegressor

ALL = pytest.mark.parametrize("name", shallow.names())
QUICK = ("coral",)
ADAPTED = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in shallow.names()]
)


def domains(n_s=40, n_t=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_s, d)), rng.normal(1, 2, size=(n_t, d))


def outputs(method, source, target):
    """What a classifier is given: its rows and their weights, and the rows it predicts for."""
    if hasattr(method, "transform"):
        return method.transform_source(source), method.transform(target)
    return (method.weights_,)


@ALL
def test_it_is_a_scikit_learn_estimator(name):
    check_estimator(shallow.get(name)(), on_skip=None)


@pytest.mark.filterwarnings("ignore:no X_target")
@ADAPTED
def test_the_adapter_with_it_is_a_scikit_learn_classifier(name):
    check_estimator(Adapter(method=name), on_skip=None)


@pytest.mark.filterwarnings("ignore:no X_target")
@ADAPTED
def test_the_adapter_with_it_is_a_scikit_learn_regressor(name):
    check_estimator(AdapterRegressor(method=name), on_skip=None)


@ALL
def test_without_a_target_the_source_is_the_target(name):
    source, _ = domains()
    with_target, without = (
        outputs(shallow.get(name)().fit(source, X_target=t), source, source) for t in (source, None)
    )
    for a, b in zip(with_target, without, strict=True):
        np.testing.assert_allclose(a, b)


@ALL
def test_without_a_target_both_maps_are_one_and_all_weights_are_equal(name):
    source, _ = domains()
    found = outputs(shallow.get(name)().fit(source), source, source)
    np.testing.assert_allclose(found[0], found[1] if len(found) == 2 else np.ones(len(source)), atol=1e-6)


@ALL
def test_order_of_the_rows_does_not_matter(name):
    source, target = domains()
    forth = outputs(shallow.get(name)().fit(source, X_target=target), source, target)
    back = outputs(shallow.get(name)().fit(source[::-1], X_target=target[::-1]), source[::-1], target[::-1])
    for a, b in zip(forth, back, strict=True):
        np.testing.assert_allclose(np.abs(a), np.abs(b[::-1]), rtol=1e-4, atol=1e-5)


@ALL
def test_a_target_of_other_columns_is_refused_by_name(name):
    source, target = domains()
    with pytest.raises(BadInput, match="X_target: X has 3 features"):
        shallow.get(name)().fit(source, X_target=target[:, :3])


@pytest.mark.parametrize("name", [name for name in shallow.names() if shallow.get(name).takes_sparse])
def test_sparse_rows_give_what_dense_rows_give(name):
    source, target = (np.where(rows > 0.5, rows, 0) for rows in domains())
    dense = outputs(shallow.get(name)().fit(source, X_target=target), source, target)
    for s, t in ((csr_matrix(source), csr_matrix(target)), (source, csr_matrix(target))):
        for a, b in zip(outputs(shallow.get(name)().fit(s, X_target=t), s, t), dense, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


@ALL
def test_its_docstring_has_equation_shapes_and_reference(name):
    doc = inspect.getdoc(shallow.get(name))
    assert all(part in doc for part in (".. math::", "When to use:\n", "Shapes:", "Reference:"))
    assert set(shallow.summary(name)["options"]) == set(shallow.options(name))


def test_they_are_not_among_the_torch_methods():
    assert not set(shallow.names()) & set(methods.names())
    assert "base" not in methods.names()
    with pytest.raises(BadInput, match="did you mean coral"):
        shallow.get("corall")
