import copy

import torch
from conformance import batches, build
from torch.nn.functional import cross_entropy

from acclimate.methods.align.mcd import MCD
from acclimate.types import Turn


def test_losses_of_the_three_turns():
    method = build(lambda model: MCD(model, weight=0.5))
    source, target = batches()
    features = method.model(source.inputs).features
    class_loss = sum(cross_entropy(head(features), source.labels) for head in (method.model.head, method.second_head))
    features_target = method.model(target.inputs).features
    gap = method.model.head(features_target).softmax(1) - method.second_head(features_target).softmax(1)
    discrepancy = gap.abs().sum() / gap.numel()
    torch.testing.assert_close(method(source, target, 0.5, "classify"), {"class": class_loss})
    expected = {"class": class_loss, "discrepancy": -0.5 * discrepancy}
    torch.testing.assert_close(method(source, target, 0.5, "disagree"), expected)
    torch.testing.assert_close(method(source, target, 0.5, "agree"), {"discrepancy": 0.5 * discrepancy})


def test_the_heads_start_apart():
    method = build(MCD)
    assert not torch.equal(method.model.head[0].weight, method.second_head[0].weight)


def test_the_turns_are_the_papers():
    method = build(lambda model: MCD(model, repeat=3))
    heads = ("model.head", "second_head")
    assert method.turns == (
        Turn("classify", ("model.backbone", *heads)),
        Turn("disagree", heads),
        Turn("agree", ("model.backbone",), 3),
    )
    assert copy.deepcopy(method).turns == method.turns
