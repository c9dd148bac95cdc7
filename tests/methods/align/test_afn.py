import numpy as np
import torch
from conformance import batches, build
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from acclimate.methods.align.afn import AFN, norm_loss


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 999), st.sampled_from([0.5, 1.0, 3.0]))
def test_gradient_pushes_each_example_outwards_by_the_step(n, d, seed, step):
    features = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
    loss = norm_loss(features, step)
    [gradient] = torch.autograd.grad(loss, features)
    x = features.detach().numpy()
    np.testing.assert_allclose(loss.item(), step**2)
    np.testing.assert_allclose(gradient, -2 * step / n * x / np.linalg.norm(x, axis=1, keepdims=True), rtol=1e-9)


def test_both_domains_are_added_and_weighted():
    method, (source, target) = build(lambda model: AFN(model, weight=0.1, step=2.0)), batches()
    found = method(source, target, 0.5)
    torch.testing.assert_close(found["norm"], torch.tensor(0.1 * 2 * 2.0**2))
    torch.testing.assert_close(found["class"], cross_entropy(method.model(source.inputs).logits, source.labels))


def test_the_features_of_both_domains_are_pushed_outwards():
    method, (source, target) = build(AFN), batches()
    outs = method.model.both(source.inputs, target.inputs)
    norm = method.losses(outs[0], source.labels, outs[1], 0.5)["norm"]
    gradients = torch.autograd.grad(norm, [out.features for out in outs])
    growth = [-(out.features * gradient).sum(1) for out, gradient in zip(outs, gradients, strict=True)]
    assert (torch.cat(growth) > 0).all()


def test_features_of_a_dead_layer_have_a_finite_gradient():
    features = torch.zeros(3, 2, requires_grad=True)
    norm_loss(features, 1.0).backward()
    assert features.grad.isfinite().all()
