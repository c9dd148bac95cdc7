import math

import pytest
import torch
from conformance import batches, build
from torch.nn.functional import cross_entropy, softplus

from acclimate.methods.align.dann import DANN


def losses(progress, **options):
    torch.manual_seed(0)
    method = build(lambda model: DANN(model, **options))
    return method, method(*batches(), progress)


def test_domain_loss_is_the_mean_negative_log_likelihood_of_both_domains():
    method, found = losses(0.5)
    source, target = batches()
    is_source = method.discriminator(method.model(source.inputs).features)
    is_target = method.discriminator(method.model(target.inputs).features)
    torch.testing.assert_close(found["domain"], softplus(-is_source).mean() + softplus(is_target).mean())
    torch.testing.assert_close(found["class"], cross_entropy(method.model(source.inputs).logits, source.labels))


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.5, 1.0])
def test_backbone_gets_the_reversed_gradient_at_the_papers_lambda(progress):
    method, found = losses(progress, weight=0.7)
    [reversed_] = torch.autograd.grad(found["domain"], method.model.backbone[0].weight, retain_graph=True)
    source, target = batches()
    logits = [method.discriminator(method.model(b.inputs).features) for b in (source, target)]
    plain = softplus(-logits[0]).mean() + softplus(logits[1]).mean()
    [forward] = torch.autograd.grad(plain, method.model.backbone[0].weight)
    scale = 0.7 * (2 / (1 + math.exp(-10 * progress)) - 1)
    torch.testing.assert_close(reversed_, -scale * forward)


def test_the_discriminator_itself_learns_at_full_rate():
    for progress in (0.0, 1.0):
        method, found = losses(progress)
        found["domain"].backward()
        assert method.discriminator[0].weight.grad.abs().sum() > 0
