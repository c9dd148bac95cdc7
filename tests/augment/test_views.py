import numpy as np
import pytest
import scipy.sparse
import torch
from batches import images, sparse, vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from processes import in_two_processes
from torchvision.transforms.v2 import functional as tv

from acclimate.augment import views
from acclimate.data.inputs import SparseInputs
from acclimate.errors import BadInput
from acclimate.nn.replicas import Replica, current_replica

BOTH = pytest.mark.parametrize("view", [views.weak, views.strong])


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


def views_of_all(rows):
    """Of each kind of batch, and pairs of images, seen by this process with its part of them."""
    torch.manual_seed(0)
    replica, found = current_replica(), []
    for x in rows:
        own = csr(x)[replica.rank :: replica.world] if x.layout == torch.sparse_csr else replica.own(x)
        own = SparseInputs(own).batch(np.arange(own.shape[0])) if x.layout == torch.sparse_csr else own
        found += [dense(view(own, replica=replica)) for view in (views.weak, views.strong)]
    return [*found, *views.pair(replica.own(rows[0]), replica=replica)]


def csr(x):
    parts = x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy()
    return scipy.sparse.csr_array(parts, shape=tuple(x.shape))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_several_processes_see_each_example_as_one_would(tmp_path):
    tokens = torch.randint(0, 99, (50, 12))
    rows = images(), vectors(), tokens, sparse()
    whole = views_of_all(rows)
    for rank, part in enumerate(in_two_processes(tmp_path, views_of_all, rows)):
        torch.testing.assert_close(part, [x[rank::2] for x in whole], rtol=1e-5, atol=1e-6)


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


def test_images_are_mirrored_only_on_request():
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


def pairs_of(x, seed=0, **options):
    torch.manual_seed(seed)
    return views.pair(x, **options)


@pytest.mark.parametrize("x", [images(), images().float().contiguous(), images(4, 17).double()])
def test_a_pair_keeps_shape_type_layout_and_range(x):
    for seen in pairs_of(x):
        assert (seen.shape, seen.dtype, seen.stride()) == (x.shape, x.dtype, x.stride())
        assert 0 <= seen.min() < seen.max() < 255.001


def test_a_pair_of_grey_images_is_grey():
    one, three = pairs_of(images()[:, :1]), pairs_of(images()[:, :1].expand(-1, 3, -1, -1))
    assert all(torch.equal(a.expand(-1, 3, -1, -1), b) for a, b in zip(one, three, strict=True))


def test_a_pair_is_decided_by_torchs_generator_and_is_of_two():
    first, same, other = (pairs_of(images(), seed) for seed in (0, 0, 1))
    assert torch.equal(torch.stack(first), torch.stack(same))
    assert not torch.equal(torch.stack(first), torch.stack(other))
    assert not torch.equal(*first)


def test_a_view_of_a_pair_depends_on_no_other_image_of_the_batch():
    x = images(8)
    alone, changed = pairs_of(x), pairs_of(torch.cat([x[:1], images(7, seed=1)]))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(alone, changed, strict=True))


def test_each_image_of_a_pair_has_its_own_draw():
    for seen in pairs_of(images(1).expand(64, -1, -1, -1).contiguous()):
        assert len(seen.flatten(1).unique(dim=0)) == 64


def test_without_crop_mirror_and_colours_a_small_image_stays_as_it_is():
    for seen in pairs_of(images(), crop=1.0, flip=False, colours=False):
        assert (seen.float() - images().float()).abs().max() <= 3  # of noise; a blur is a third of a pixel here


def test_a_pair_of_vectors_is_refused():
    with pytest.raises(BadInput, match="cropped from each image"):
        views.pair(vectors())


@settings(max_examples=20)
@given(st.floats(0.05, 1), st.integers(0, 999))
def test_crops_lie_in_the_image_and_have_the_share_and_sides_they_are_drawn_with(least, seed):
    """Of an image that shows where each pixel was: the crop's corners tell its place and size."""
    across = torch.linspace(-1 + 1 / 64, 1 - 1 / 64, 64).expand(64, 64)
    place = torch.stack([across, across.T]).expand(32, -1, -1, -1)
    drawn = torch.rand(32, 5, generator=torch.Generator().manual_seed(seed))
    seen = views._cropped(place, drawn, least, flip=False)
    assert seen.abs().max() <= 1
    step = (64 * seen.diff(dim=3)[:, 0].mean((1, 2)) / 2, 64 * seen.diff(dim=2)[:, 1].mean((1, 2)) / 2)
    area = least + (1 - least) * drawn[:, 0]
    torch.testing.assert_close(step[0] * step[1], area, rtol=0.1, atol=0.02)  # at the border pixels repeat
    ratio = step[0] / step[1]
    assert ((ratio > 0.7) & (ratio < 1.43)).all()


def test_half_of_the_crops_are_mirrored_on_request():
    rising = torch.linspace(0, 255, 32).expand(200, 1, 32, 32)
    drawn = torch.rand(200, 5, generator=torch.Generator().manual_seed(0))
    mirrored = views._cropped(rising, drawn, 0.5, flip=True)[:, 0].diff(dim=2).sum((1, 2)) < 0
    assert torch.equal(mirrored, drawn[:, 4] < 0.5)


def tinted(x, bright=0.5, contrast=0.5, saturation=0.5, turn=0.5, changed=0.0, grey=1.0):
    return views._tinted(x, torch.tensor([[bright, contrast, saturation, turn, changed, grey]]).expand(len(x), -1))


def mild():
    """Images that no change of tone brings to black or white."""
    return 90 + images(6, 16).float().contiguous() / 4


@pytest.mark.parametrize("level", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(
    ("name", "most", "theirs"),
    [("bright", 0.4, "brightness"), ("contrast", 0.4, "contrast"), ("saturation", 0.2, "saturation")],
)
def test_tones_of_a_pair_are_torchvisions(name, most, theirs, level):
    x, adjust = mild(), getattr(tv, f"adjust_{theirs}")
    expected = 255 * adjust(x / 255, 1 + most * (2 * level - 1))
    torch.testing.assert_close(tinted(x, **{name: level}), expected, rtol=0, atol=0.05)


def test_the_hue_turns_as_torchvisions_where_three_make_a_circle():
    x = mild()
    turned = torch.einsum("nij,njhw->nihw", views._hue_rotation(torch.full((6,), 2 * np.pi / 3)), x)
    torch.testing.assert_close(turned, 255 * tv.adjust_hue(x / 255, 1 / 3))


def test_the_hue_leaves_greys_and_turns_little_by_little():
    assert torch.allclose(tinted(mild()[:, :1].expand(-1, 3, -1, -1), turn=1.0), mild()[:, :1], atol=1e-3)
    far = [(tinted(mild(), turn=turn) - mild()).abs().mean().item() for turn in (0.5, 0.6, 0.8, 1.0)]
    assert far[0] < 1e-3 < far[1] < far[2] < far[3]


def test_one_image_in_five_loses_its_colours_and_one_keeps_its_tones():
    x = mild()
    luma = tv.rgb_to_grayscale(x, 3)
    torch.testing.assert_close(tinted(x, changed=0.9, grey=0.1, bright=1), luma, rtol=0, atol=0.05)
    torch.testing.assert_close(tinted(x, changed=0.9, bright=1, turn=1), x, rtol=0, atol=1e-3)


def test_the_blur_is_torchvisions_away_from_the_border():
    x = images(2, 40).float().contiguous()
    theirs = tv.gaussian_blur(x, [13, 13], [1.5, 1.5])
    ours = views._blurred(x, torch.full((2,), 1.5 / 40))
    torch.testing.assert_close(ours[:, :, 8:-8, 8:-8], theirs[:, :, 8:-8, 8:-8], rtol=0, atol=0.1)
    torch.testing.assert_close(views._blurred(x, torch.zeros(2)), x)


def test_the_grey_square_of_a_strong_view_has_up_to_half_the_side(monkeypatch):
    drawn = torch.tensor([[0.0] * 7 + [0.5, 0.5, 1.0]])  # operations 0 and 0 are none; centre, and largest size
    monkeypatch.setattr(Replica, "uniform", lambda *_: drawn)
    grey = views.strong(torch.zeros(1, 3, 64, 64)) == 127
    assert grey[:, :, 16:48, 16:48].all()
    assert grey.sum() == 3 * 32 * 32


def test_the_bright_parts_of_a_fifth_of_the_second_views_are_inverted():
    bright = torch.full((500, 3, 8, 8), 230.0)  # whose brightness changes to 138 at least
    torch.manual_seed(0)
    shares = [(seen < 128).float().mean().item() for seen in views.pair(bright)]
    assert shares == pytest.approx([0, 0.2], abs=0.05)
