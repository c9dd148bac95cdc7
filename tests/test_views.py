import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from acclimate import views
from acclimate.data.inputs import SparseInputs

BOTH = pytest.mark.parametrize("view", [views.weak, views.strong])


def images(n=64, size=32, seed=0):
    """As a loader gives them: uint8, channels last in memory."""
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=g).permute(0, 3, 1, 2)


def vectors(n=500, seed=0):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)) * torch.tensor([1.0, 2, 3, 4, 5, 0])


def sparse(n=50):
    x = scipy.sparse.random_array((n, 300), density=0.1, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    return SparseInputs(x).batch(np.arange(n))


def dense(x):
    return x.to_dense() if x.layout == torch.sparse_csr else x


def seeded(view, x, seed=0, **options):
    torch.manual_seed(seed)
    return view(x, **options)


def one_tone(name, x, level):
    """The one change of tone called ``name``, of a single grey or coloured image ``(h, w, 3)``."""
    batch = torch.from_numpy(x).permute(2, 0, 1)[None].float()
    chosen = torch.tensor([views.OPERATIONS.index(name)])
    return views._toned(batch, chosen, torch.tensor([level]))[0].permute(1, 2, 0).numpy()


@BOTH
@pytest.mark.parametrize("x", [images(), images().float().contiguous(), vectors(), vectors().double(), sparse()])
def test_a_view_keeps_shape_type_and_layout(view, x):
    seen = view(x)
    assert (seen.shape, seen.dtype, seen.layout) == (x.shape, x.dtype, x.layout)
    if x.ndim == 4:
        assert seen.stride() == x.stride()
    assert not torch.equal(dense(seen), dense(x))


@BOTH
@pytest.mark.parametrize("x", [images(), vectors(), sparse()])
def test_a_view_is_decided_by_torchs_generator(view, x):
    first, same, other = (dense(seeded(view, x, seed)) for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@BOTH
def test_each_image_has_its_own_draw(view):
    seen = seeded(view, images(1).expand(64, -1, -1, -1).contiguous(memory_format=torch.channels_last))
    assert len(seen.flatten(1).unique(dim=0)) > 40


@BOTH
@pytest.mark.parametrize("x", [images(), vectors(), sparse()])
def test_of_no_strength_it_is_the_batch_itself(view, x):
    assert view(x, strength=0) is x


@BOTH
def test_what_it_is_given_is_not_changed(view):
    x = images()
    view(x)
    assert torch.equal(x, images())


@settings(max_examples=20)
@given(st.integers(16, 40), st.integers(0, 99))
def test_a_weak_view_is_the_image_moved_by_whole_pixels_with_a_mirrored_border(size, seed):
    x, most = images(4, size), round(size / 8)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (most, most), (most, most)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    for each, window in zip(seeded(views.weak, x, seed).numpy(), windows, strict=True):
        assert (each[:, None, None] == window).all((0, 3, 4)).sum() >= 1


def test_images_are_mirrored_only_where_asked():
    x = torch.arange(32, dtype=torch.uint8).expand(64, 3, 32, 32)
    rising = {flip: (seeded(views.weak, x, flip=flip)[:, 0, 0].float().diff().sum(1) > 0) for flip in (False, True)}
    assert rising[False].all()
    assert 10 < rising[True].sum() < 54


@settings(max_examples=20)
@given(st.integers(0, 999), st.floats(0, 1))
def test_tones_that_pillow_knows_are_pillows(seed, level):
    x = images(1, 16, seed)[0].permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(x)
    bits = 8 - round(4 * float(np.float32(level)))
    assert np.array_equal(one_tone("posterize", x, level), np.asarray(ImageOps.posterize(picture, bits)))
    assert np.array_equal(one_tone("invert", x, level), np.asarray(ImageOps.invert(picture)))
    fold = int(np.ceil(256 * (1 - np.float32(level))))
    assert np.array_equal(one_tone("solarize", x, level), np.asarray(ImageOps.solarize(picture, fold)))
    stretched = np.asarray(ImageOps.autocontrast(picture)).astype(float)
    np.testing.assert_allclose(one_tone("autocontrast", x, level), stretched, atol=1.01)


def test_tones_that_blend_go_towards_black_grey_and_the_mean():
    x = images(1, 16)[0].permute(1, 2, 0).contiguous().numpy()
    far, f = 0.95 * 0.6, x.astype(float)
    np.testing.assert_allclose(one_tone("brightness", x, 0.6), f * (1 - far), rtol=1e-4)
    np.testing.assert_allclose(one_tone("contrast", x, 0.6), f + far * (f.mean() - f), rtol=1e-4, atol=1e-3)
    grey = f.mean(2, keepdims=True)
    np.testing.assert_allclose(one_tone("color", x, 0.6), f + far * (grey - f), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("translate x", [0.4, 0.0]),
        ("translate y", [0.0, 0.4]),
        ("shear x", [0.3 * 0.5 * 2 / 3, 0.0]),
        ("shear y", [0.0, 0.0]),
        ("rotate", [-0.5 * np.sin(np.pi / 9), 0.5 * np.cos(np.pi / 9) - 0.5]),
    ],
)
def test_moves_look_where_they_say(name, expected):
    """Where the point half-way down the middle looks, at two thirds of the largest magnitude."""
    move = views._move(torch.tensor([views.OPERATIONS.index(name)]), torch.tensor([2 / 3]))[0]
    np.testing.assert_allclose(
        (move @ torch.tensor([0.0, 0.5, 1.0]))[:2] - torch.tensor([0.0, 0.5]), expected, atol=1e-6
    )


def test_a_strong_view_covers_up_to_a_quarter_with_a_grey_square():
    drawn = torch.tensor([[0.5, 0.5, 1.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    covered = views._square(drawn, 0.5, torch.zeros(3, 3, 32, 32)).float().mean((1, 2, 3))
    np.testing.assert_allclose(covered, [0.25, 0, 0.0625], atol=0.02)


def test_a_view_of_a_text_lacks_a_share_of_its_tokens_but_never_the_first():
    x = torch.arange(1, 40_001).view(100, 400)
    for view, share in ((views.weak, 0.05), (views.strong, 0.3)):
        seen = seeded(view, x)
        assert (seen[:, 0] == x[:, 0]).all()
        assert ((seen == x) | (seen == -1)).all()
        assert (seen == -1).float().mean().item() == pytest.approx(share, rel=0.1)


def test_milder_strong_views_leave_more_images_as_they_are():
    x = images(256)
    same = [(seeded(views.strong, x, strength=s) == x).all(1).float().mean() for s in (0.1, 0.5, 1.0)]
    assert same[0] > 0.75 > same[1] > same[2]


def test_noise_of_a_vector_is_a_share_of_each_features_spread():
    x = vectors()
    noise = seeded(views.weak, x) - x
    np.testing.assert_allclose(noise.std(0), 0.1 * x.std(0), rtol=0.1, atol=1e-6)


def test_a_feature_that_is_left_out_has_the_batchs_mean():
    x = vectors()
    left_out = seeded(views.strong, x) == x.mean(0)
    np.testing.assert_allclose(left_out[:, :5].float().mean(0), 0.2, atol=0.05)
    assert left_out[:, 5].all()


def test_sparse_rows_lose_non_zeros_and_keep_their_mean():
    x = sparse()
    for view, share in ((views.weak, 0.05), (views.strong, 0.3)):
        values = seeded(view, x).values()
        ratio = values[values > 0] / x.values()[values > 0]
        np.testing.assert_allclose((values == 0).float().mean(), share, atol=0.03)
        np.testing.assert_allclose(ratio, 1 / (1 - share), rtol=1e-5)
