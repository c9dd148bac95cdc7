import pytest
from torch import nn

from acclimate import backbones
from acclimate.backbones import Shape
from acclimate.backbones.layers import layer_groups

IMAGES = Shape(images=True, size=32, mean=[100.0] * 3, std=[50.0] * 3)


def _layers(groups):
    """The module that each group begins with."""
    return [group[0].rpartition(".")[0] for group in groups]


@pytest.mark.parametrize("name", ["mnist", "svhn", "gtsrb", "cnn", "timm:resnet10t", "timm:vit_tiny_patch16_224"])
def test_every_parameter_is_in_one_layer(name):
    shape = Shape(images=True, size=224 if "vit" in name else 32, mean=[100.0] * 3, std=[50.0] * 3)
    options = {"pretrained": False} if name.startswith("timm") else {}
    backbone = backbones.build(name, shape, 2, options).classifier.backbone
    found = [name for group in layer_groups(backbone) for name in group]
    assert sorted(found) == sorted(name for name, _ in backbone.named_parameters())


def test_a_resnet_is_its_stem_and_its_blocks():
    resnet = backbones.build("timm:resnet18", IMAGES, 2, {"pretrained": False}).classifier.backbone
    blocks = [f"layer{i}.{j}.conv1" for i in (1, 2, 3, 4) for j in (0, 1)]
    assert _layers(layer_groups(resnet)) == ["conv1", *blocks]


def test_batch_norm_of_each_domain_stays_in_its_layer():
    model = backbones.build("timm:resnet10t", IMAGES, 2, {"pretrained": False}).classifier
    before = _layers(layer_groups(model.backbone))
    model.separate_batch_norm(shared=False)
    groups = layer_groups(model.backbone)
    assert _layers(groups) == before
    assert "layer4.0.bn2.weight_target" in groups[-1]


def test_in_a_sequence_a_norm_belongs_to_the_layer_before_it():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 3))
    assert _layers(layer_groups(net)) == ["0", "1", "4"]
    assert layer_groups(net)[1] == ["1.weight", "1.bias", "2.weight", "2.bias"]


def test_anything_else_is_one_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

    assert layer_groups(Net()) == [["a.weight", "a.bias", "b.weight", "b.bias"]]


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "MPNet", "Roberta", "ModernBert"])
def test_an_encoder_is_embeddings_layers_and_what_is_behind(kind):
    transformers = pytest.importorskip("transformers")
    small = {"vocab_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "pad_token_id": 0}
    config = getattr(transformers, f"{kind}Config")(hidden_size=8, intermediate_size=8, **small)
    encoder = getattr(transformers, f"{kind}Model")(config)
    groups = layer_groups(encoder)
    assert all("embed" in name or "relative" in name for name in groups[0])
    for i in range(3):
        assert all(f".{i}." in f".{name}" for name in groups[1 + i])
    assert sum(map(len, groups)) == len(list(encoder.parameters()))
