import math

import numpy as np
import ot
import pytest
import torch
from conformance import batches, build
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from acclimate.methods.align.deepjdot import DeepJDOT, coupling

OPTIONS = {"feature_weight": 0.3, "class_weight": 0.7}


def cheapest(cost):
    """The cost of optimal transport, by POT."""
    return ot.emd2([], [], cost)


def numpy_cost(method):
    source, target = batches()
    out_source, out_target = method.model(source.inputs), method.model(target.inputs)
    far = cdist(out_source.features.detach(), out_target.features.detach(), "sqeuclidean")
    log_p = out_target.logits.detach().log_softmax(1).numpy()
    return np.array([[0.3 * far[i, j] - 0.7 * log_p[j, y] for j in range(9)] for i, y in enumerate(source.labels)])


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 999))
def test_coupling_is_a_cheapest_one_between_uniform_marginals(n, m, seed):
    cost = torch.rand(n, m, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    plan = coupling(cost)
    torch.testing.assert_close(plan.sum(1), torch.full((n,), 1 / n, dtype=cost.dtype))
    torch.testing.assert_close(plan.sum(0), torch.full((m,), 1 / m, dtype=cost.dtype))
    np.testing.assert_allclose((plan * cost).sum(), cheapest(cost.numpy()), rtol=1e-7)


@pytest.mark.parametrize("shape", [(6, 6), (6, 4)])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_cost_that_is_not_finite_stays_so(shape, value):
    cost = torch.ones(shape)
    cost[0, 0] = value
    assert not (coupling(cost) * cost).sum().isfinite()


def test_loss_is_the_cost_of_the_cheapest_coupling():
    method = build(lambda model: DeepJDOT(model, **OPTIONS))
    found = method(*batches(), 0.5)
    transport = (found["transport features"] + found["transport class"]).item()
    np.testing.assert_allclose(transport, cheapest(numpy_cost(method)), rtol=1e-5)


def test_the_gradient_goes_through_the_cost_with_the_coupling_held():
    method, (source, target) = build(lambda model: DeepJDOT(model, **OPTIONS)), batches()
    out_source, out_target = method.model.both(source.inputs, target.inputs)
    found = method.losses(out_source, source.labels, out_target, 0.5)
    [features] = torch.autograd.grad(found["transport features"], out_source.features, retain_graph=True)
    [logits] = torch.autograd.grad(found["transport class"], out_target.logits)
    plan = coupling(torch.from_numpy(numpy_cost(method)).float())
    difference = out_source.features[:, None] - out_target.features[None]
    torch.testing.assert_close(features, 2 * 0.3 * (plan[..., None] * difference).sum(1))
    taught = plan.T @ torch.nn.functional.one_hot(source.labels, 3).float()
    torch.testing.assert_close(logits, 0.7 * (out_target.logits.softmax(1) / 9 - taught))
