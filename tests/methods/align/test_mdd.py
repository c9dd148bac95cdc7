import math

import numpy as np
import pytest
import torch
from conformance import batches, build
from hypothesis import given
from hypothesis import strategies as st

from acclimate.methods.align.mdd import MDD, not_cross_entropy


def disparity(method):
    """The paper's two terms, from probabilities."""
    (source, target), terms = batches(), []
    for batch in (source, target):
        out = method.model(batch.inputs)
        p = method.second_head(out.features).softmax(1)
        terms.append(p[range(len(p)), out.logits.argmax(1)])
    return {"agree": -4 * terms[0].log().mean(), "disagree": -(1 - terms[1]).log().mean()}


@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 999))
def test_not_cross_entropy_is_the_papers(n, k, seed):
    g = torch.Generator().manual_seed(seed)
    z, y = torch.randn(n, k, generator=g, dtype=torch.float64), torch.randint(k, (n,), generator=g)
    p = np.exp(z.numpy()) / np.exp(z.numpy()).sum(1, keepdims=True)
    expected = -np.mean([math.log(1 - row[label]) for row, label in zip(p, y.tolist(), strict=True)])
    np.testing.assert_allclose(not_cross_entropy(z, y), expected, rtol=1e-9)


def test_a_certain_label_costs_a_finite_amount_and_can_be_unlearnt():
    z = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = not_cross_entropy(z, torch.tensor([0]))
    loss.backward()
    torch.testing.assert_close(loss.item(), 200 - math.log(2), rtol=1e-6, atol=0)
    torch.testing.assert_close(z.grad, torch.tensor([[1.0, -0.5, -0.5]]))


def test_losses_are_the_papers():
    method = build(MDD)
    found = method(*batches(), 0.5)
    torch.testing.assert_close({name: found[name] for name in ("agree", "disagree")}, disparity(method))


@pytest.mark.parametrize("progress", [0.0, 0.1, 1.0])
def test_backbone_gets_the_reversed_gradient_and_the_second_head_the_full_one(progress):
    method = build(MDD)
    parts = [method.model.backbone[0].weight, method.second_head[0].weight]
    found = method(*batches(), progress)
    backbone, head = torch.autograd.grad(found["agree"] + found["disagree"], parts)
    backbone_forward, head_forward = torch.autograd.grad(sum(disparity(method).values()), parts)
    scale = 0.1 * (2 / (1 + math.exp(-10 * progress)) - 1)
    torch.testing.assert_close(backbone, -scale * backbone_forward, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(head, head_forward, rtol=1e-4, atol=1e-7)
