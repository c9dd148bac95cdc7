import numpy as np
import pytest
import torch
from conformance import FEATURES, batches, build
from hypothesis import given
from hypothesis import strategies as st

from acclimate.methods.selfsup.vicreg import VICReg, covariance_loss, variance_loss


def projections(n, d, seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


@given(st.integers(2, 9), st.integers(2, 6), st.integers(0, 999))
def test_redundancy_is_the_squared_covariance_off_the_diagonal(n, d, seed):
    z = projections(n, d, seed)
    covariance = np.cov(z.numpy(), rowvar=False)
    expected = sum(covariance[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    assert covariance_loss(z).item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.integers(2, 9), st.integers(1, 6), st.integers(0, 999))
def test_spread_is_asked_for_up_to_one(n, d, seed):
    z = projections(n, d, seed)
    expected = np.maximum(0, 1 - np.sqrt(z.numpy().var(0, ddof=1) + 1e-4)).mean()
    assert variance_loss(z).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert variance_loss(100 * z + torch.arange(n)[:, None]) <= variance_loss(z) + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_lightlys(lightly, monkeypatch, seed):
    torch.manual_seed(seed)
    method = build(lambda model: VICReg(model, weight=20, variance=15, covariance=2, hidden=12, out=6), task=FEATURES)
    x = batches(task=FEATURES)[1].inputs
    views = x, 255 - x
    monkeypatch.setattr("acclimate.augment.views.pair", lambda x, **options: views)
    z = [method.projector(method.model.backbone(view)) for view in views]
    theirs = lightly.loss.VICRegLoss(lambda_param=20, mu_param=15, nu_param=2)(*z)
    torch.testing.assert_close(sum(method(*batches(task=FEATURES)).values()), theirs, rtol=1e-4, atol=1e-5)


def test_all_images_at_one_point_are_told_by_the_spread_alone():
    assert covariance_loss(torch.ones(5, 3)) == 0
    assert variance_loss(torch.ones(5, 3)).item() == pytest.approx(0.99)
