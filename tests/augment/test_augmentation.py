from functools import partial

import numpy as np
import pytest
import torch
from batches import images, sparse, vectors
from conformance import build
from PIL import Image
from trainings import change, job, stop_at, weights

from acclimate import methods
from acclimate.augment import views
from acclimate.augment.augmentation import AUGMENTATIONS, PLAIN, Augment, check
from acclimate.errors import BadInput
from acclimate.nn.replicas import WHOLE, Replica
from acclimate.recipe import Augmentation, DomainSpec, Recipe
from acclimate.training.features import allows_stand_in
from acclimate.training.job import run_job

NAMES = [name for name in AUGMENTATIONS if name != "none"]
EACH = pytest.mark.parametrize("name", NAMES)


def seeded(name, x, seed=0, replica=WHOLE):
    torch.manual_seed(seed)
    return AUGMENTATIONS[name](x, replica)


@EACH
@pytest.mark.parametrize("x", [images(), images().float().contiguous()])
def test_it_keeps_shape_type_and_layout(name, x):
    seen = seeded(name, x)
    assert (seen.shape, seen.dtype, seen.stride()) == (x.shape, x.dtype, x.stride())
    assert not torch.equal(seen, x)


@EACH
def test_it_is_decided_by_torchs_generator(name):
    first, same, other = (seeded(name, images(), seed) for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@EACH
def test_each_example_has_its_own_draw(name):
    x = images(1).expand(64, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    assert len(seeded(name, x).flatten(1).unique(dim=0)) > 40


@pytest.mark.parametrize(("name", "x"), [*((name, images(12)) for name in NAMES), ("noise", vectors(12))])
def test_several_processes_do_to_each_example_what_one_does(name, x):
    whole = seeded(name, x)
    for rank in range(3):
        assert torch.equal(seeded(name, x[rank::3], replica=Replica(rank, 3)), whole[rank::3])


@pytest.mark.parametrize("drawn", [[0.0, 0.5, 0.0, 0.0, 1.0], [0.5, 1.0, 0.3, 0.8, 1.0], [1.0, 0.5, 0.5, 0.5, 1.0]])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_crop_is_pillows(drawn, mirrored, monkeypatch):
    x, drawn = images(1), torch.tensor([drawn])
    area = 0.7 + 0.3 * drawn[0, 0]
    ratio = min(4 / 3, 1 / area) ** (2 * drawn[0, 1] - 1)
    w, h = (32 * side for side in ((area * ratio) ** 0.5, (area / ratio) ** 0.5))
    left, top = (32 - w) * drawn[0, 2], (32 - h) * drawn[0, 3]
    pillow = Image.fromarray(x[0].permute(1, 2, 0).numpy())
    box = [float(side) for side in (left, top, left + w, top + h)]
    expected = np.asarray(pillow.resize((32, 32), Image.Resampling.BILINEAR, box=box))
    drawn[0, 4] = 0.4 if mirrored else 0.6
    monkeypatch.setattr(Replica, "uniform", lambda *_: drawn)
    found = views.flip_crop(x)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found[:, ::-1] if mirrored else found, expected, atol=1)


def test_half_of_the_images_are_mirrored():
    ramp = torch.arange(32.0).expand(400, 1, 32, 32)
    seen = seeded("flip_crop", ramp)
    assert (seen[:, 0, 16, 0] > seen[:, 0, 16, -1]).float().mean() == pytest.approx(0.5, abs=0.08)


def drawing(monkeypatch, name, level):
    """Have TrivialAugment draw this operation."""
    drawn = torch.tensor([[(views.OPERATIONS.index(name) + 0.5) / len(views.OPERATIONS), level, 1.0]])
    monkeypatch.setattr(Replica, "uniform", lambda *_: drawn)


@pytest.mark.parametrize(("name", "does"), [("invert", lambda x: 255.0 - x), ("brightness", lambda x: x * 0.525)])
def test_trivial_does_the_one_operation_that_is_drawn(name, does, monkeypatch):
    drawing(monkeypatch, name, 0.5)
    np.testing.assert_allclose(views.trivial(images(1)), does(images(1)).round(), atol=1)


def test_trivial_moves_as_far_as_is_drawn(monkeypatch):
    drawing(monkeypatch, "translate x", 5 / 9.6)  # of at most 0.3 of 32 pixels
    np.testing.assert_allclose(views.trivial(images(1))[..., :27], images(1)[..., 5:], atol=1)


def test_noise_of_an_image_is_up_to_a_tenth_of_the_range():
    grey = torch.full((300, 3, 16, 16), 127.0)
    spread = seeded("noise", grey).std((1, 2, 3))
    assert spread.max() < 27
    assert spread.mean() == pytest.approx(25.5 / 2, abs=1)


def test_noise_of_vectors_is_a_tenth():
    x = vectors(5000)
    np.testing.assert_allclose((seeded("noise", x) - x).std(0), 0.1, atol=0.01)


def test_labels_go_by_and_domains_are_augmented_apart():
    batch = (images(4), torch.arange(4), images(4, seed=1))
    [(source, labels, target)] = Augment(target="noise")(iter([batch]))
    assert source is batch[0]
    assert labels is batch[1]
    assert not torch.equal(target, batch[2])


def test_without_augmentation_batches_go_by():
    batch = (sparse(4), torch.arange(4), sparse(4))
    [found] = PLAIN(iter([batch]))
    assert all(a is b for a, b in zip(found, batch, strict=True))


@pytest.mark.parametrize("requested", [{"source": "noise"}, {"target": "trivial"}])
def test_sparse_rows_are_not_augmented(requested):
    with pytest.raises(BadInput, match="does not apply to text or sparse rows"):
        check(Augmentation(**requested), images=False, sparse=True)


def test_vectors_get_noise_alone():
    check(Augmentation(source="noise", target="noise"), images=False, sparse=False)
    with pytest.raises(BadInput, match=r"augment\.source=trivial: applies to images only; use noise"):
        check(Augmentation(source="trivial"), images=False, sparse=False)


@pytest.mark.parametrize(("augment", "kept"), [({}, True), ({"source": "noise"}, False), ({"target": "noise"}, False)])
def test_features_that_are_kept_never_stand_in_for_augmented_examples(augment, kept):
    place, frozen = DomainSpec(path="x"), {"finetune": "feature_extraction", "augment": Augmentation(**augment)}
    recipe = Recipe(source=place, target=place, method="mcc", backbone="mlp", **frozen)
    assert allows_stand_in(recipe, build(methods.get("mcc"))) is kept


def test_features_that_are_kept_have_no_layers_below():
    place = DomainSpec(path="x")
    recipe = Recipe(source=place, target=place, method="dan", backbone="mlp", finetune="feature_extraction")
    lower, last = (build(partial(methods.get("dan"), layers={name: 1.0})) for name in ("0", "features"))
    assert (allows_stand_in(recipe, lower), allows_stand_in(recipe, last)) == (False, True)


def noisy(folder, name="dann", **more):
    return change(job(folder, name, **more), augment=Augmentation(source="noise", target="noise"))


@pytest.mark.parametrize("name", ["dann", "source_only", "supervised", "shot"])
def test_every_method_sees_augmented_batches(tmp_path, name):
    for folder, made in (("plain", job), ("noisy", noisy)):
        run_job(made(tmp_path / folder, name))
    plain, augmented = (weights(tmp_path / folder) for folder in ("plain", "noisy"))
    assert any(not torch.equal(plain[k], augmented[k]) for k in plain)


def test_a_domain_that_is_not_looked_at_draws_nothing(tmp_path):
    for folder, target in (("none", "none"), ("noise", "noise")):
        made = job(tmp_path / folder, "source_only")
        run_job(change(made, augment=Augmentation(source="noise", target=target)))
    torch.testing.assert_close(weights(tmp_path / "none"), weights(tmp_path / "noise"), rtol=0, atol=0)


def test_resumed_weights_are_the_same_to_the_bit(tmp_path, monkeypatch):
    run_job(noisy(tmp_path / "straight"))
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(KeyboardInterrupt):
            run_job(noisy(tmp_path / "resumed"))
    run_job(noisy(tmp_path / "resumed"))
    torch.testing.assert_close(weights(tmp_path / "resumed"), weights(tmp_path / "straight"), rtol=0, atol=0)


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path):
    for devices in (1, 2):
        made = noisy(tmp_path / str(devices), dropout=0.0, batch_norm=False, optimizer="sgd")
        run_job(change(made, devices=devices))
    torch.testing.assert_close(weights(tmp_path / "2"), weights(tmp_path / "1"), rtol=1e-4, atol=1e-6)
