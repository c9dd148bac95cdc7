import importlib.util

import pytest
import samples
import torch
from torch.nn.functional import layer_norm

from acclimate import backbones
from acclimate.backbones import Shape
from acclimate.backbones.layers import layer_groups
from acclimate.data.packing import pack
from acclimate.errors import BadInput

SEEN = Shape(images=True, size=16, mean=[100.0] * 3, std=[50.0] * 3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return samples.encoder(tmp_path_factory.mktemp("fusion") / "tiny")


def build(read, text, image="cnn"):
    torch.manual_seed(0)
    shape = Shape(images=False, size=16, n_features=768 + 4 * read.n_features, parts=(SEEN, read))
    return backbones.build("fusion", shape, 3, {"image": image, "text": text, "pretrained": False})


def of_tokens(tiny, **more):
    return build(Shape(images=False, n_features=5, encoder=tiny), f"encoder:{tiny}", **more)


def pictures(n=4):
    return torch.randint(0, 256, (n, 3, 16, 16), dtype=torch.uint8)


TOKENS = torch.tensor([[2, 5, 3, -1, -1], [2, 6, 8, 3, -1], [2, 3, -1, -1, -1], [2, 5, 5, 5, 3]], dtype=torch.int32)


def test_features_are_those_of_both_each_layer_normalised(tiny):
    model = of_tokens(tiny).classifier.eval()
    images, net = pictures(), model.backbone
    seen, read = net.image(net.normalize(images)), net.text(TOKENS.long())
    out = model(pack(images, TOKENS))
    assert out.features.shape == (4, 128 + 8)
    torch.testing.assert_close(out.features, torch.cat([layer_norm(x, x.shape[1:]) for x in (seen, read)], 1))


def test_words_that_are_counted_are_weights():
    model = build(Shape(images=False, n_features=7, sparse=True), "mlp").classifier.eval()
    images, texts = pictures(), torch.rand(4, 7)
    read = model.backbone.text(texts)
    torch.testing.assert_close(model(pack(images, texts)).features[:, 128:], layer_norm(read, read.shape[1:]))


def test_both_send_a_gradient(tiny):
    model = of_tokens(tiny).classifier
    model(pack(pictures(), TOKENS)).logits.square().sum().backward()
    for part in (model.backbone.image, model.backbone.text):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_layers_as_far_below_the_head_are_one(tiny):
    net = of_tokens(tiny).classifier.backbone
    groups, images, texts = (layer_groups(m) for m in (net, net.image, net.text))
    assert (len(images), len(texts), len(groups)) == (3, 3, 3)
    for whole, seen, read in zip(groups, images, texts, strict=True):
        assert whole == [f"image.{n}" for n in seen] + [f"text.{n}" for n in read]


def test_the_deeper_net_has_its_lowest_layers_alone(tiny):
    net = of_tokens(tiny, image="timm:resnet10t").classifier.backbone
    groups, images = layer_groups(net), layer_groups(net.image)
    assert len(groups) == len(images) == 5
    assert all(name.startswith("image.") for group in groups[:2] for name in group)
    assert any(name.startswith("text.model.embeddings") for name in groups[2])
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in net.named_parameters())


def test_it_learns_at_the_lower_rate_and_its_head_at_the_higher(tiny):
    assert of_tokens(tiny).training["lr"] == 5e-4
    assert of_tokens(tiny).training["head_lr"] == pytest.approx(2)


def test_fresh_batch_norm_is_not_frozen_with_the_pretrained(tiny):
    assert not of_tokens(tiny).training["freeze_batch_norm"]


def test_it_is_pretrained_if_both_are(tiny):
    both = {"image": "efficientnet_lite0", "text": f"encoder:{tiny}"}
    assert backbones.pretrained("fusion", both)
    assert not backbones.pretrained("fusion", {**both, "pretrained": False})
    assert not backbones.pretrained("fusion", {**both, "image": "cnn"})


def test_a_rate_of_another_optimizer_is_not_taken(tiny):
    assert of_tokens(tiny, image="mnist").training["lr"] == 5e-4


def test_its_inputs_are_those_of_both(tiny):
    spec = backbones.input_spec("fusion", "image and text", {"text": f"encoder:{tiny}", "length": 9})
    assert (spec.size, spec.interpolation, spec.encoder, spec.length) == (224, "bicubic", tiny, 9)


def test_without_an_encoder_words_are_counted(monkeypatch):
    assert backbones.defaults("fusion") == {"image": "efficientnet_lite0", "text": "minilm"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert backbones.defaults("fusion")["text"] == "mlp"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"image": "mlp"}, "backbone mlp: takes vectors"),
        ({"text": "cnn"}, "backbone cnn: takes images"),
        ({"image": "fusion"}, "takes images with texts"),
        ({"image": "cnn", "weights": "w.pth"}, "backbone.weights: backbone cnn has no such option"),
        ({"text": "mlp", "length": 9}, "backbone.length: backbone mlp has no such option"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(options, why):
    with pytest.raises(BadInput, match=why):
        backbones.input_spec("fusion", "image and text", {"image": "cnn", "text": "mlp", **options})
