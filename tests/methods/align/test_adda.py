import math

import pytest
import torch
from conformance import batches, build
from torch.nn.functional import cross_entropy

from acclimate.methods.align.adda import ADDA


def parts(method):
    """Probabilities of being of the source, for both domains."""
    return [method.discriminator(method.model(b.inputs).features).sigmoid() for b in batches()]


def test_the_discriminator_learns_which_domain_is_which():
    method = build(ADDA)
    p_source, p_target = parts(method)
    found = method(*batches(), 0.5, "discriminate")
    torch.testing.assert_close(found, {"domain": -p_source.log().mean() - (1 - p_target).log().mean()})


@pytest.mark.parametrize("progress", [0.0, 0.1, 1.0])
def test_the_model_learns_the_classes_and_the_inverted_labels(progress):
    method, (source, target) = build(lambda model: ADDA(model, weight=0.7)), batches()
    scale = 0.7 * (2 / (1 + math.exp(-10 * progress)) - 1)
    found = method(source, target, progress, "map")
    torch.testing.assert_close(found["class"], cross_entropy(method.model(source.inputs).logits, source.labels))
    torch.testing.assert_close(found["inverted"], -scale * parts(method)[1].log().mean())


def test_the_discriminators_turn_sends_nothing_into_the_model():
    method = build(ADDA)
    method(*batches(), 0.5, "discriminate")["domain"].backward()
    assert all(p.grad is None for p in method.model.parameters())


def test_the_gradient_is_large_where_reversal_would_give_none():
    method = build(lambda model: ADDA(model, gamma=1e9))
    torch.nn.init.constant_(method.discriminator[-1].bias, -50.0)  # certain that all are of the target
    [inverted] = torch.autograd.grad(
        method(*batches(), 1.0, "map")["inverted"], method.model.backbone[0].weight, retain_graph=True
    )
    [reversed_] = torch.autograd.grad(-(1 - parts(method)[1]).log().mean(), method.model.backbone[0].weight)
    assert inverted.norm() > 1e3 * reversed_.norm()


def test_the_discriminator_may_move_more_often():
    method = build(lambda model: ADDA(model, repeat=3))
    assert [(t.name, t.moves, t.repeat) for t in method.turns] == [
        ("discriminate", ("discriminator",), 3),
        ("map", ("model",), 1),
    ]
