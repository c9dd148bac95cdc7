"""Halves of a model: together they are the whole."""

import pytest
import timm
import torch
from torch import nn

from acclimate import finetune
from acclimate.finetune import FROZEN
from acclimate.nn import Classifier
from acclimate.nn.cut import cut, cut_at_features

IMAGES = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def classifier(net, d, *, width=0):
    torch.manual_seed(0)
    model = Classifier(net, nn.Linear(d, 2), n_features=d, n_classes=2, normalize=nn.BatchNorm2d(3, affine=False))
    return (model.narrowed(width) if width else model).eval()


def frozen_by(model, strategy):
    return {name for layer in finetune.layers(model, strategy, {}) if layer.pace == FROZEN for name in layer.names}


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("width", [0, 5])
def test_the_halves_give_what_the_whole_gives(name, width):
    net = timm.create_model(name, num_classes=0)
    model = classifier(net, net.num_features, width=width)
    below, above, _ = cut(model, frozen_by(model, "partial"), IMAGES)
    torch.testing.assert_close(above(below(IMAGES)).logits, model(IMAGES).logits)


def test_above_are_the_trained_layers_and_below_are_the_frozen_ones():
    net = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    model = classifier(net, net.num_features)
    frozen = frozen_by(model, "partial")
    below, above, _ = cut(model, frozen, IMAGES)
    assert {name for name, _ in above.backbone.named_parameters()} == {n for n, _ in net.named_parameters()} - frozen
    lower = {id(p) for part in below.lower for p in part.parameters()}
    assert lower == {id(p) for name, p in net.named_parameters() if name in frozen}


def test_a_step_above_moves_the_model():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = classifier(net, 5)
    below, above, _ = cut(model, {"0.weight", "0.bias"}, IMAGES)
    rows = below(IMAGES).detach()
    assert rows.shape == (3, 4 * 62 * 62)
    above(rows).logits.sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is not None] == [
        "backbone.2.weight", "backbone.2.bias", "head.weight", "head.bias"
    ]  # fmt: skip


class Skips(nn.Module):
    """An upper layer that takes the input too."""

    def __init__(self):
        super().__init__()
        self.low, self.high, self.flat = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Flatten()

    def forward(self, x):
        return self.flat(self.high(self.low(x)) + x)


def test_a_net_that_has_no_such_place_is_not_cut():
    model = classifier(Skips(), 3 * 64 * 64)
    assert cut(model, {"low.weight", "low.bias"}, IMAGES) is None


@pytest.mark.parametrize("frozen", [set(), {"0.weight", "0.bias"}])
def test_a_net_of_which_all_or_nothing_trains_is_not_cut(frozen):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert cut(classifier(net, 4), frozen, IMAGES) is None


def test_at_the_features_the_head_is_above():
    model = classifier(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3)
    below, above, _ = cut_at_features(model)
    torch.testing.assert_close(above(below(IMAGES)).logits, model(IMAGES).logits)
