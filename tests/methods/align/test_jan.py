import math

import numpy as np
import pytest
import torch
from conformance import batches, build
from scipy.spatial.distance import cdist

from acclimate.methods.align.jan import JAN


def kernel(x, powers):
    squared = cdist(x, x, "sqeuclidean")
    gamma = squared.sum() / (len(x) * (len(x) - 1))
    return np.mean([np.exp(-squared / (gamma * 2.0**q)) for q in powers], axis=0)


def by_hand(method, powers):
    outs = [method.model(b.inputs) for b in batches()]
    features = torch.cat([out.features for out in outs]).detach().double()
    p = torch.cat([out.logits for out in outs]).softmax(1).detach().double()
    k, n = kernel(features, powers) * kernel(p, powers), len(outs[0].features)
    return k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()


@pytest.mark.parametrize("progress", [0.0, 0.2, 1.0])
def test_loss_is_the_mmd_of_the_product_kernel_at_the_papers_lambda(progress):
    powers = (-1, 0)
    method = build(lambda model: JAN(model, weight=0.3, powers=powers))
    scale = 0.3 * (2 / (1 + math.exp(-10 * progress)) - 1)
    found = method(*batches(), progress)["joint mmd"].item()
    np.testing.assert_allclose(found, scale * by_hand(method, powers), rtol=1e-4)


def test_the_gradient_goes_through_features_and_predictions():
    method, (source, target) = build(JAN), batches()
    out_source, out_target = method.model.both(source.inputs, target.inputs)
    loss = method.losses(out_source, source.labels, out_target, 0.5)["joint mmd"]
    for gradient in torch.autograd.grad(
        loss, [out_source.features, out_source.logits, out_target.features, out_target.logits]
    ):
        assert gradient.abs().sum() > 0


def test_the_same_features_with_other_predictions_are_apart():
    method, (source, _) = build(JAN), batches()
    out = method.model(source.inputs)
    swapped = out._replace(logits=out.logits.roll(1, dims=1))
    same, apart = (method.losses(out, source.labels, other, 1.0)["joint mmd"] for other in (out, swapped))
    assert same < 1e-6 < apart
