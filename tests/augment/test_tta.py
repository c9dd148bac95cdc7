import numpy as np
import pytest
import torch
from PIL import Image

from acclimate.augment import tta
from acclimate.data.inputs import ArrayImageInputs
from acclimate.errors import BadInput
from acclimate.nn import Classifier
from acclimate.training.inference import mean_logits, predict

NUMBERS = {"hflip": 1, "shift": 4, "five_crop": 5}


def images(n=3, size=32, seed=0):
    """As a loader gives them: uint8, channels last in memory."""
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=g).permute(0, 3, 1, 2)


def views(x, *names):
    return list(tta.views_of(x, names))


@pytest.mark.parametrize("name", tta.VIEWS)
@pytest.mark.parametrize("x", [images(), images(size=2).float().contiguous()])
def test_a_view_keeps_shape_type_and_layout(name, x):
    for seen in views(x, name):
        assert (seen.shape, seen.dtype, seen.stride()) == (x.shape, x.dtype, x.stride())


@pytest.mark.parametrize("name", tta.VIEWS)
def test_the_plain_view_comes_first_and_no_other_is_it(name):
    x = images()
    first, *others = views(x, name)
    assert first is x
    assert len(others) == NUMBERS[name]
    assert len(torch.stack([x, *others]).flatten(1).unique(dim=0)) == 1 + NUMBERS[name]


def test_views_are_the_same_each_time():
    assert all(torch.equal(a, b) for a, b in zip(views(images(), *NUMBERS), views(images(), *NUMBERS), strict=True))


def test_several_names_give_the_views_of_each():
    assert len(views(images(), "hflip", "five_crop")) == 1 + 1 + 5


@pytest.mark.parametrize("names", [("hflip",), ("five_crop", "shift")])
def test_one_view_at_a_time_is_the_same_as_all_views_of_a_batch(names):
    inputs = ArrayImageInputs(images(5).permute(0, 2, 3, 1).numpy(), 32)
    apart = [of.batch(np.array([3, 1])) for of in tta.viewed(inputs, names)]
    assert all(torch.equal(a, b) for a, b in zip(apart, views(inputs.batch(np.array([3, 1])), *names), strict=True))


def test_what_is_kept_of_one_view_is_never_that_of_another():
    inputs = ArrayImageInputs(images().permute(0, 2, 3, 1).numpy(), 32)
    digests = [of.digest() for of in tta.viewed(inputs, tuple(tta.VIEWS))]
    assert len(set(digests)) == len(digests) == 11


def test_a_shift_is_numpys_with_a_mirrored_border():
    x = images()
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    down = views(x, "shift")[1]
    np.testing.assert_array_equal(down, wide[:, :, :32, 2:34])


def test_a_crop_is_pillows_brought_back_to_size():
    x = images(1)
    pillow = Image.fromarray(x[0].permute(1, 2, 0).numpy())
    corner = pillow.crop((4, 4, 32, 32)).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(views(x, "five_crop")[4][0].permute(1, 2, 0).numpy(), np.asarray(corner), atol=1)


def test_the_mean_logits_is_the_mean_of_the_probabilities():
    logits = [torch.randn(4, 3, dtype=torch.float64) * 5 for _ in range(3)]
    expected = torch.stack([z.softmax(1) for z in logits]).mean(0)
    torch.testing.assert_close(mean_logits(logits).exp(), expected)


def test_the_mean_logits_of_numbers_is_their_mean():
    torch.testing.assert_close(mean_logits([torch.tensor([[1.0]]), torch.tensor([[4.0]])]), torch.tensor([[2.5]]))


def test_a_model_predicts_for_every_view():
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    torch.manual_seed(0)
    model = Classifier(torch.nn.Flatten(), torch.nn.Linear(192, 3), n_features=192, n_classes=3).float()
    model.normalize = torch.nn.Sequential(ToFloat())
    plain, mirrored = (
        predict(model, ArrayImageInputs(a.copy(), 8), "target").probabilities for a in (x, x[:, :, ::-1])
    )
    found = predict(model, ArrayImageInputs(x, 8), "target", tta=["hflip"])
    np.testing.assert_allclose(found.probabilities, (plain + mirrored) / 2, atol=1e-9)


class ToFloat(torch.nn.Module):
    def forward(self, x):
        return x.float() / 255


def test_an_unknown_view_is_told():
    with pytest.raises(BadInput, match="tta: no view 'hflop'; did you mean hflip"):
        tta.check(["hflop"], images=True)


def test_what_is_no_image_has_no_views():
    with pytest.raises(BadInput, match="tta hflip,shift: applies to images only"):
        tta.check(["hflip", "shift"], images=False)
