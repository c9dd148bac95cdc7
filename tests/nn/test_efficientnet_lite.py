"""EfficientNet-Lite is timm's, without importing timm."""

import subprocess
import sys

import pytest
import timm
import torch
from timm.models import group_parameters

from acclimate.backbones.layers import layer_groups
from acclimate.nn.efficientnet_lite import EfficientNetLite


@pytest.fixture(scope="module")
def both():
    """Ours and timm's with the same weights, without classifier."""
    torch.manual_seed(0)
    ours, theirs = EfficientNetLite(), timm.create_model("tf_efficientnet_lite0", pretrained=False)
    ours.load_state_dict(theirs.state_dict())
    for net in (ours, theirs):
        net.reset_classifier(0)
    return ours, theirs


@pytest.mark.parametrize("size", [64, 97])
@pytest.mark.parametrize("training", [True, False])
def test_features_are_timms_to_the_bit(both, size, training):
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = (net.train(training)(x) for net in both)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_layers_are_timms(both):
    groups = group_parameters(both[1], both[1].group_matcher(coarse=False))
    assert layer_groups(both[0]) == [list(groups[depth]) for depth in sorted(groups)]


def test_weights_are_drawn_as_timm_draws_them(both):
    torch.manual_seed(1)
    drawn = EfficientNetLite().state_dict()
    for name, tensor in both[1].state_dict().items():
        if tensor.ndim == 4:
            assert drawn[name].std() == pytest.approx(float(tensor.std()), rel=0.2)


@pytest.mark.slow
def test_timm_is_not_imported():
    code = (
        "import sys; from acclimate.backbones import Shape, build\n"
        "build('efficientnet_lite0', Shape(images=True, size=64, mean=[0.0] * 3, std=[1.0] * 3), 2, {})\n"
        "assert not {'timm', 'torchvision'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
