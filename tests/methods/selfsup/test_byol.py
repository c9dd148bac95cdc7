import math

import numpy as np
import pytest
import torch
from conformance import FEATURES, batches, build, step
from hypothesis import given
from hypothesis import strategies as st

from acclimate.methods.selfsup.byol import BYOL, distance, momentum
from acclimate.nn import Classifier, projector
from acclimate.recipe import Training
from acclimate.training.engine import make_optimizer


def small(**options):
    return build(lambda model: BYOL(model, **{"hidden": 12, "out": 4, **options}), task=FEATURES)


def whole(**options):
    """With both views the image itself."""
    return small(crop=1.0, flip=False, colours=False, norm="layer", **options)


def images():
    return batches(task=FEATURES)[1].inputs


@given(st.integers(1, 9), st.integers(2, 6), st.integers(0, 999))
def test_the_distance_is_that_of_vectors_of_unit_length(n, d, seed):
    a, b = np.random.default_rng(seed).normal(size=(2, n, d))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    expected = ((unit[0] - unit[1]) ** 2).sum(1).mean()
    assert distance(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_lightlys(lightly, seed):
    a, b = torch.randn(2, 17, 8, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(distance(a, b), 2 + 2 * lightly.loss.NegativeCosineSimilarity()(a, b))


def test_the_loss_is_of_both_views_against_the_teachers_other(monkeypatch):
    method, x = small(norm="layer"), images()
    views = x, 255 - x
    monkeypatch.setattr("acclimate.augment.views.pair", lambda x, **options: views)
    with torch.no_grad():
        for p in method.teacher.parameters():
            p.add_(0.1)
    model, project = method.teacher
    predicted = [method.predictor(method.projector(method.model.backbone(v))) for v in views]
    taught = [project(model.backbone(v)) for v in views]
    cos = [torch.cosine_similarity(predicted[i], taught[1 - i]).mean().item() for i in (0, 1)]
    assert method(*batches(task=FEATURES))["prediction"].item() == pytest.approx(4 - 2 * sum(cos), rel=1e-5)


def test_the_teachers_momentum_has_golden_values():
    found = [momentum(p, 0.996) for p in (0, 0.25, 0.5, 1)]
    np.testing.assert_allclose(found, [0.996, 1 - 0.004 * (1 + math.sqrt(0.5)) / 2, 0.998, 1], rtol=1e-12)


def test_the_teachers_momentum_is_lightlys(lightly):
    theirs = [lightly.utils.scheduler.cosine_schedule(k, 101, 0.99, 1.0) for k in range(101)]
    np.testing.assert_allclose([momentum(k / 100, 0.99) for k in range(101)], theirs, rtol=1e-9)


def test_the_teacher_is_the_mean_of_what_the_student_was():
    method = whole(decay=0.8)
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=5.0)
    expected = method.projector[0].weight.detach().double().clone()
    for i, progress in enumerate((0.0, 0.25, 0.5, 0.75)):
        step(method, optimizer, progress, i, FEATURES)
        keeps = 1 - 0.2 * (math.cos(math.pi * progress) + 1) / 2
        expected = keeps * expected + (1 - keeps) * method.projector[0].weight.detach().double()
    torch.testing.assert_close(method.teacher[1][0].weight.double(), expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(method.teacher[1][0].weight, method.projector[0].weight)


def test_at_the_end_the_teacher_stands_still():
    method = small()
    before = [p.clone() for p in method.teacher.parameters()]
    with torch.no_grad():
        method.projector[0].weight.add_(1)
    method.after_step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, method.teacher.parameters(), strict=True))


def test_nothing_is_trained_in_the_teacher_nor_in_the_head():
    method = small()
    sum(method(*batches(task=FEATURES)).values()).backward()
    still = {id(p) for part in (method.teacher, method.model.head) for p in part.parameters()}
    assert all(p.grad is None for p in method.parameters() if id(p) in still)
    trained = {id(p) for group in make_optimizer(method, Training()).param_groups for p in group["params"]}
    assert trained == {id(p) for p in method.parameters()} - still


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_layer_norm_makes_an_example_independent_of_its_batch(norm):
    torch.manual_seed(0)
    project, x = projector(8, 12, 4, norm=norm), torch.randn(6, 8)
    assert torch.allclose(project(x)[:3], project(x[:3]), atol=1e-6) == (norm == "layer")


def test_a_few_steps_bring_the_views_together_and_keep_images_apart():
    torch.manual_seed(0)
    backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 16), torch.nn.BatchNorm1d(16))
    method = BYOL(Classifier(backbone, torch.nn.Linear(16, 3), n_features=16, n_classes=3), hidden=32, out=8)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], 1e-2)
    losses = []
    for i in range(60):
        optimizer.zero_grad()
        loss = method(*batches(n_target=64, task=FEATURES), i / 60)["prediction"]
        loss.backward()
        optimizer.step()
        method.after_step(i / 60)
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert method.model(batches(n_target=64, task=FEATURES)[1].inputs).features.std(0).mean() > 0.1
