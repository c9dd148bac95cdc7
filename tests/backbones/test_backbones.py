import pytest
import scipy.sparse
import torch
from safetensors.torch import save_file

from acclimate import backbones
from acclimate.backbones import Shape
from acclimate.errors import BadInput
from acclimate.nn import csr_rows

VECTORS = Shape(images=False, n_features=7)


def images(size=32):
    return Shape(images=True, size=size, mean=[100.0] * 3, std=[50.0] * 3)


def csr(x):
    rows = scipy.sparse.csr_array(x.numpy())
    return csr_rows(*map(torch.from_numpy, (rows.indptr, rows.indices, rows.data)), x.shape[1])


def uint8(n=2, size=32):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["mnist", "svhn", "gtsrb", "cnn", "timm:resnet10t"])
def test_images_to_features_and_logits(name):
    options = {"pretrained": False} if name.startswith("timm") else {}
    model = backbones.build(name, images(), 5, options).classifier
    out = model(uint8())
    assert out.logits.shape == (2, 5)
    assert out.features.shape == (2, model.n_features)


def test_the_papers_net_for_mnist():
    model = backbones.build("mnist", images(28), 10, {}).classifier
    assert model.n_features == 48 * 4 * 4
    widths = [tuple(p.shape) for p in model.parameters() if p.ndim > 1]
    assert widths == [(32, 3, 5, 5), (48, 32, 5, 5), (100, 768), (100, 100), (10, 100)]


def test_the_papers_normalisation_takes_the_mean_away_and_divides_by_255():
    model = backbones.build("mnist", images(28), 10, {}).classifier
    x = uint8(size=28)
    torch.testing.assert_close(model.normalize(x), (x.float() - 100) / 255)


@pytest.mark.parametrize("sparse", [False, True])
def test_vectors_to_logits(sparse):
    model = backbones.build("mlp", Shape(images=False, n_features=7, sparse=sparse), 3, {"depth": 2}).classifier
    x = torch.rand(4, 7)
    assert model(csr(x) if sparse else x).logits.shape == (4, 3)


def test_auto_suits_the_data():
    assert [backbones.auto("table"), backbones.auto("images", 28), backbones.auto("images", 224)] == [
        "mlp",
        "cnn",
        "efficientnet_lite0",
    ]


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("mlpp", VECTORS, "did you mean mlp"),
        ("cnn", VECTORS, "takes images only"),
        ("mlp", images(), "takes vectors, tables and text only"),
        ("timm:resnet81", images(), "did you mean timm:resnet"),
        ("gtsrb", images(20), "too small"),
    ],
)
def test_what_does_not_fit_is_refused(name, shape, message):
    with pytest.raises(BadInput, match=message):
        backbones.build(name, shape, 2, {})


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_local_weights_are_loaded_safely(tmp_path, ending):
    plain = backbones.build("timm:resnet10t", images(), 2, {"pretrained": False}).classifier
    state, path = plain.backbone.state_dict(), tmp_path / f"weights.{ending}"
    save_file(state, path) if ending == "safetensors" else torch.save({"state_dict": state}, path)
    loaded = backbones.build("timm:resnet10t", images(), 3, {"weights": str(path)}).classifier
    torch.testing.assert_close(loaded.backbone.state_dict(), state, rtol=0, atol=0)


def test_pretrained_models_bring_their_own_normalisation(tmp_path):
    plain = backbones.build("timm:resnet10t", images(), 2, {"pretrained": False}).classifier
    save_file(plain.backbone.state_dict(), tmp_path / "w.safetensors")
    options = {"weights": str(tmp_path / "w.safetensors")}
    model = backbones.build("timm:resnet10t", images(), 2, options).classifier
    torch.testing.assert_close(model.normalize.mean.flatten(), 255 * torch.tensor([0.485, 0.456, 0.406]))


@pytest.mark.parametrize(
    ("name", "options", "is_so"),
    [
        ("cnn", {}, False),
        ("timm:resnet18", {}, True),
        ("timm:resnet18", {"pretrained": False}, False),
        ("timm:resnet18", {"pretrained": False, "weights": "w.pth"}, True),
    ],
)
def test_a_backbone_knows_whether_it_is_pretrained(name, options, is_so):
    assert backbones.pretrained(name, options) is is_so
