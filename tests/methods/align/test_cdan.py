import math

import numpy as np
import pytest
import torch
from conformance import batches, build

from acclimate.methods.align.cdan import CDAN


def entropy_weights(p):
    w = np.array([1 + math.exp(sum(q * math.log(q) for q in row)) for row in p])
    return w * len(w) / w.sum()


def half(method, batch, is_source, weighted):
    """One domain's share of the domain loss, one example at a time."""
    out = method.model(batch.inputs)
    p = out.logits.softmax(1).detach()
    h = torch.stack([torch.outer(f, q).flatten() for f, q in zip(out.features, p, strict=True)])
    d = method.discriminator(h).squeeze(1).sigmoid()
    loss = -torch.log(d if is_source else 1 - d)
    weights = entropy_weights(p.tolist()) if weighted else np.ones(len(p))
    return (torch.tensor(weights, dtype=torch.float32) * loss).sum() / len(loss)


def plain(method, weighted=True):
    return sum(half(method, b, is_source, weighted) for b, is_source in zip(batches(), (True, False), strict=True))


@pytest.mark.parametrize("entropy", [True, False])
def test_domain_loss_is_that_of_the_outer_products(entropy):
    method = build(lambda model: CDAN(model, entropy=entropy))
    torch.testing.assert_close(method(*batches(), 0.5)["domain"], plain(method, entropy))


@pytest.mark.parametrize("progress", [0.0, 0.1, 1.0])
def test_backbone_gets_the_reversed_gradient_through_the_features_alone(progress):
    method = build(lambda model: CDAN(model, weight=0.7))
    first, head = method.model.backbone[0].weight, method.model.head[0].weight
    domain = method(*batches(), progress)["domain"]
    found, none = torch.autograd.grad(domain, [first, head], allow_unused=True)
    [forward] = torch.autograd.grad(plain(method), first)
    torch.testing.assert_close(found, -0.7 * (2 / (1 + math.exp(-10 * progress)) - 1) * forward, rtol=1e-4, atol=1e-7)
    assert none is None


@pytest.mark.slow
def test_random_map_keeps_products_in_the_mean():
    method = build(lambda model: CDAN(model, largest_product=23, random_width=200_000))
    g = torch.Generator().manual_seed(1)
    features, p = torch.randn(2, 8, generator=g), torch.randn(2, 3, generator=g).softmax(1)
    a, b = method.condition(features, p)
    torch.testing.assert_close(a @ b, (features[0] @ features[1]) * (p[0] @ p[1]), rtol=0.05, atol=0.02)


def test_random_map_is_drawn_only_where_the_product_is_too_large_and_is_saved():
    small, large = (build(lambda model, n=n: CDAN(model, largest_product=n, random_width=5)) for n in (24, 23))
    assert not dict(small.named_buffers())
    assert large.discriminator[0].in_features == 5
    assert {"map_features", "map_classes"} <= set(large.state_dict())
