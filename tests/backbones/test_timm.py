import logging
import socket
import time

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from acclimate import backbones
from acclimate.backbones import InputSpec, Shape
from acclimate.backbones import timm as timm_backbone
from acclimate.errors import BadInput

IMAGES = Shape(images=True, size=32, mean=[100.0] * 3, std=[50.0] * 3)
OWN = {
    "resnetv2_50x1_bit.goog_in21k": (224, "bilinear", 127.5),
    "resnetv2_101x1_bit.goog_in21k": (224, "bilinear", 127.5),
    "efficientnet_b3": (288, "bicubic", 255 * 0.485),
    "efficientnet_b4": (320, "bicubic", 255 * 0.485),
}
"""Size, interpolation and the first channel's mean, as their publishers trained them."""


def _saved(name, path):
    """Weights of a fresh model, with the classifier that a published file has."""
    save_file(timm.create_model(name.partition(".")[0], num_classes=7).state_dict(), path)
    return {"weights": str(path)}


@pytest.mark.parametrize("name", OWN)
def test_size_and_interpolation_are_the_models_own(name):
    size, interpolation, _ = OWN[name]
    assert backbones.input_spec(f"timm:{name}", "images", {}) == InputSpec(size=size, interpolation=interpolation)


@pytest.mark.parametrize("name", ["resnetv2_50x1_bit.goog_in21k", "efficientnet_b3"])
def test_local_weights_bring_the_models_own_normalisation(tmp_path, name):
    options = _saved(name, tmp_path / "w.safetensors")
    model = backbones.build(f"timm:{name}", IMAGES, 2, options).classifier.eval()
    assert model.normalize.mean.flatten()[0].item() == pytest.approx(OWN[name][2])
    assert model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).logits.shape == (1, 2)


def test_from_nothing_the_data_decide():
    assert backbones.input_spec("timm:efficientnet_b4", "images", {"pretrained": False}) == InputSpec()
    model = backbones.build("timm:efficientnet_b4", IMAGES, 2, {"pretrained": False}).classifier
    assert model.normalize.mean.flatten().tolist() == [100.0] * 3


def test_a_model_of_one_size_gets_it_even_from_nothing():
    assert backbones.input_spec("timm:vit_tiny_patch16_224", "images", {"pretrained": False}) == InputSpec(size=224)


@pytest.mark.parametrize("depth", [50, pytest.param(101, marks=pytest.mark.slow)])
def test_bit_has_group_norm_and_standardised_weights(depth):
    name = f"timm:resnetv2_{depth}x1_bit.goog_in21k"
    model = backbones.build(name, IMAGES, 2, {"pretrained": False}).classifier.eval()
    kinds = {type(m).__name__ for m in model.backbone.modules()}
    assert {"StdConv2d", "GroupNormAct"} <= kinds
    assert not any("BatchNorm" in kind for kind in kinds)
    out = model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert (out.features.shape, out.logits.shape) == ((1, 2048), (1, 2))


def test_features_are_as_many_as_come_out():
    model = backbones.build("timm:mobilenetv3_small_050", IMAGES, 2, {"pretrained": False}).classifier.eval()
    assert model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).features.shape == (1, model.n_features)


def test_weights_of_an_unknown_tag_are_refused():
    with pytest.raises(BadInput, match=r"no such weights; did you mean resnet18\.a1_in1k"):
        backbones.input_spec("timm:resnet18.a1_in2k", "images", {})


def test_weights_of_the_hub_come_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--timm--test_resnet.r160_in1k"
    for folder in ("snapshots/0123", "refs"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs/main").write_text("0123", "utf-8")
    published = timm.create_model("test_resnet.r160_in1k")
    save_file(published.state_dict(), repository / "snapshots/0123/model.safetensors")
    model = backbones.build("timm:test_resnet.r160_in1k", IMAGES, 2, {}).classifier
    assert torch.equal(model.backbone.conv1[0].weight, published.conv1[0].weight)


def test_an_unreachable_hub_gives_one_message_and_is_not_asked_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}{revision}{filename}")
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "handlers", [caplog.handler])
    with pytest.raises(BadInput, match="cannot download its weights from the hub"):
        backbones.build("timm:test_resnet.r160_in1k", IMAGES, 2, {})
    assert not caplog.records
    assert not waits
    assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(timm_backbone, "ANSWERS_IN", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not timm_backbone._answers(f"http://127.0.0.1:{silent.getsockname()[1]}")
