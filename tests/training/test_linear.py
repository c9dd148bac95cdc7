import numpy as np
import pytest
import samples
import scipy.sparse
import skops.io
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import FunctionTransformer

from acclimate.backbones import Shape
from acclimate.data.inputs import DenseInputs, SparseInputs
from acclimate.errors import BadInput
from acclimate.methods import shallow
from acclimate.methods.shallow.coral import CORAL
from acclimate.sklearn import Adapter
from acclimate.training import linear


def domains(n=90, d=30):
    """Three classes that lie apart; the target is stretched and moved."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    x = (rng.normal(size=(n, d)) + 3 * np.eye(3, d)[y]).astype(np.float32)
    return x, y, (1.5 * x + 0.3).astype(np.float32)


def words(n=90, d=400, seed=0):
    rng = np.random.default_rng(seed)
    return scipy.sparse.csr_array((rng.random((n, d)) < 0.05).astype(np.float32))


def fitted(folder, source, target, method="coral", **options):
    """A model as it comes back from disk."""
    given = {"method": method, "options": options, "estimator": {}}
    linear.save(linear.fit(source, domains()[1], target, **given), folder / "model.skops")
    return linear.load(folder / "model.skops")


@pytest.mark.parametrize("C", [None, 2.0])
@pytest.mark.parametrize("method", [*shallow.names(), "source_only"])
def test_every_shallow_method_before_a_regression_comes_back_from_disk(method, C, tmp_path):
    x, _, xt = domains()
    given = {"method": method, "options": {}, "estimator": {"C": C}, "task": "regression"}
    linear.save(linear.fit(DenseInputs(x), x[:, 0], DenseInputs(xt), **given), tmp_path / "model.skops")
    out = linear.load(tmp_path / "model.skops")(torch.from_numpy(xt))
    assert out.logits.shape == (len(xt), 1)
    assert out.logits.isfinite().all()


@pytest.mark.parametrize("method", [*shallow.names(), "source_only"])
@pytest.mark.parametrize("sparse", [False, True])
def test_every_shallow_method_comes_back_from_disk(method, sparse, tmp_path):
    x, _, xt = domains()
    source, target = (SparseInputs(words(seed=s)) for s in (0, 1)) if sparse else (DenseInputs(x), DenseInputs(xt))
    out = fitted(tmp_path, source, target, method)(target.batch(np.arange(7)))
    torch.testing.assert_close(out.logits.exp().sum(1), torch.ones(7, dtype=torch.float64))
    assert out.features.shape[0] == 7
    assert out.features.shape[1] <= linear.FEATURES


def test_it_is_the_method_before_a_linear_model(tmp_path):
    x, y, xt = domains()
    model = fitted(tmp_path, DenseInputs(x), DenseInputs(xt), reg=0.5)
    method = CORAL(reg=0.5).fit(x, X_target=xt)
    by_hand = LogisticRegression(max_iter=1000).fit(method.transform_source(x), y)
    expected = by_hand.predict_log_proba(method.transform(xt))
    np.testing.assert_allclose(model(torch.from_numpy(xt)).logits, expected, rtol=1e-6)


def test_rows_of_the_source_are_mapped_as_such(tmp_path):
    x, _, xt = domains()
    model = fitted(tmp_path, DenseInputs(x), DenseInputs(xt))
    here, there = (model(torch.from_numpy(x), domain).features for domain in ("source", "target"))
    expected = CORAL().fit(x, X_target=xt).transform_source(x)
    np.testing.assert_allclose(here, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(here, there)


def test_images_are_refused():
    with pytest.raises(BadInput, match="for vectors, tables and text, and these are images"):
        linear.check("coral", Shape(images=True, size=16), {})


def test_wide_sparse_rows_are_reduced_for_what_takes_none_and_the_recipe_records_it():
    wide = Shape(images=False, n_features=linear.WIDEST + 1, sparse=True)
    assert linear.check("coral", wide, {"C": 0.1}) == {"C": 0.1, "svd": 300}
    assert linear.check("coral", wide, {"svd": 20}) == {"svd": 20}
    assert linear.check("msda", wide, {}) == {}
    with pytest.raises(BadInput, match=r"svd'?: has an effect only on texts"):
        linear.check("msda", wide, {"svd": 20})
    with pytest.raises(BadInput, match="at least one direction"):
        linear.check("coral", wide, {"svd": 0})


def test_the_reduction_is_of_both_domains_and_is_kept(tmp_path):
    x, _, xt = domains(d=30)
    sparse = [SparseInputs(scipy.sparse.csr_array(rows * (rows > 0))) for rows in (x, xt)]
    given = {"method": "coral", "options": {}, "estimator": {"svd": 5}}
    labels = (x[:, 0] > 0).astype(int)
    linear.save(linear.fit(sparse[0], labels, sparse[1], **given), tmp_path / "model.skops")
    logits = linear.load(tmp_path / "model.skops")(sparse[1].batch(np.arange(len(xt)))).logits
    both = np.vstack([rows * (rows > 0) for rows in (x, xt)])
    directions = np.linalg.svd(both, full_matrices=False)[2][:5].T
    reduced, target = (rows * (rows > 0) @ directions for rows in (x, xt))
    expected = Adapter(method="coral").fit(reduced, labels, X_target=target).predict_proba(target)
    np.testing.assert_allclose(logits.exp().numpy(), expected, atol=0.02)


@pytest.mark.parametrize("method", shallow.names())
def test_the_same_fit_gives_the_same_bytes(method, tmp_path):
    x, _, xt = domains()
    for name in "a", "b":
        (tmp_path / name).mkdir()
        fitted(tmp_path / name, DenseInputs(x), DenseInputs(xt), method)
    first, second = ((tmp_path / name / "model.skops").read_bytes() for name in "ab")
    assert first == second


def test_numbers_are_learnt_by_a_ridge(tmp_path):
    x, _, xt = domains()
    given = {"method": "coral", "options": {}, "estimator": {"C": 2.0}, "task": "regression"}
    linear.save(linear.fit(DenseInputs(x), x[:, 0], DenseInputs(xt), **given), tmp_path / "model.skops")
    logits = linear.load(tmp_path / "model.skops")(torch.from_numpy(xt)).logits
    method = CORAL().fit(x, X_target=xt)
    expected = Ridge(0.5).fit(method.transform_source(x), x[:, 0]).predict(method.transform(xt))
    np.testing.assert_allclose(logits[:, 0], expected, rtol=1e-6, atol=1e-9)


def test_what_the_method_says_of_its_input_is_told(tmp_path):
    x, _, xt = domains(d=100)
    with pytest.raises(BadInput, match="method coral: a covariance is singular"):
        fitted(tmp_path, DenseInputs(x), DenseInputs(xt), reg=0.0)


def test_a_type_that_no_model_has_is_refused(tmp_path):
    skops.io.dump(FunctionTransformer(print), tmp_path / "evil.skops")
    with pytest.raises(BadInput, match=r"contains sklearn.*FunctionTransformer .*; refused"):
        linear.load(tmp_path / "evil.skops")


def test_what_our_own_modules_import_is_out_of_reach(tmp_path):
    node, text = samples.skops_node, samples.skops_node("JsonNode", "builtins.str", content="1")
    call = node("TypeNode", "acclimate.sklearn.np")
    for name in ("lib", "_npyio_impl", "os", "mkdir"):
        call = node("MethodNode", "acclimate.sklearn.np", content={"obj": call, "func": name})
    calls = node("ListNode", "builtins.list", content=[call])
    evil = node("DictNode", "builtins.dict", key_types=calls, content={str(tmp_path / "made"): text})
    with pytest.raises(BadInput, match=r"contains acclimate\.sklearn\.np .*; refused"):
        linear.load(samples.skops_file(tmp_path / "evil.skops", evil))
    assert not (tmp_path / "made").exists()


def test_c_is_the_inverse_strength_of_the_penalty():
    assert linear.linear(C=0.5).C == 0.5
    assert linear.linear("regression", C=0.5).alpha == 2.0
