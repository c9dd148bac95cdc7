import copy

import numpy as np
import pytest
import torch
from conformance import batches, build, ready, step
from hypothesis import given
from hypothesis import strategies as st

from acclimate.augment import views
from acclimate.methods.align.mean_teacher import MeanTeacher, imbalance
from acclimate.recipe import Training
from acclimate.training.engine import make_optimizer


def still(**options):
    """With views that are the examples themselves."""
    return ready(lambda model: MeanTeacher(model, weak=0, strong=0, **options), sure=3.0)


def test_the_teacher_sees_weak_views_and_the_student_strong_ones(monkeypatch):
    monkeypatch.setattr(views, "strong", lambda x, **options: 0 * x)
    method, (source, target) = build(lambda model: MeanTeacher(model, weak=0)), batches()
    seen = {}
    for name, model in (("teacher", method.teacher), ("student", method.model)):
        model.backbone.register_forward_hook(lambda _, inputs, __, name=name: seen.update({name: inputs[0]}))
    method(source, target)
    torch.testing.assert_close(seen["teacher"], target.inputs)
    torch.testing.assert_close(seen["student"], torch.cat([source.inputs, 0 * target.inputs]))


def apart(method):
    """The same with a student that has moved away from its teacher."""
    with torch.no_grad():
        for p in method.model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    return method


def probabilities(model, x):
    with torch.no_grad():
        return model(x).logits.double().softmax(1).numpy()


@pytest.mark.parametrize("confidence", [0.0, 0.5, 0.8])
def test_losses_are_self_ensemblings(confidence):
    method, (source, target) = apart(still(confidence=confidence)), batches()
    p, q = (probabilities(model, target.inputs) for model in (method.model, method.teacher))
    sure = [row.max() > confidence for row in q]
    distance = sum(((a - b) ** 2).mean() for a, b, s in zip(p, q, sure, strict=True) if s) / len(p)
    spread = -sum(np.log(m) / 3 + np.log(1 - m) * 2 / 3 for m in p.mean(0))
    found = method(source, target)
    assert found["consistency"].item() == pytest.approx(3 * distance, rel=1e-4)
    assert found["balance"].item() == pytest.approx(3 * 0.005 * np.mean(sure) * spread, rel=1e-4)


def test_a_teacher_that_is_sure_of_nothing_teaches_nothing():
    losses = apart(still(confidence=1.0))(*batches())
    assert losses["consistency"] == 0
    assert losses["balance"] == 0


@given(st.integers(1, 9), st.integers(2, 6), st.integers(0, 999))
def test_the_uniform_mean_is_the_best_balanced(n, k, seed):
    p = torch.randn(n, k, generator=torch.Generator().manual_seed(seed)).softmax(1)
    assert imbalance(p) >= imbalance(torch.full((1, k), 1 / k)) - 1e-5


def test_the_teacher_is_the_mean_of_what_the_student_was():
    method = build(lambda model: MeanTeacher(model, decay=0.9))
    optimizer, weights = torch.optim.SGD(method.model.parameters(), lr=0.5), []
    expected = method.model.head[0].weight.detach().double().clone()
    for i in range(5):
        step(method, optimizer, seed=i)
        weights.append(method.model.head[0].weight.detach().double().clone())
        expected = 0.9 * expected + 0.1 * weights[-1]
    torch.testing.assert_close(method.teacher.head[0].weight.double(), expected, rtol=1e-5, atol=1e-7)
    assert not torch.equal(weights[0], weights[-1])


def test_nothing_is_trained_in_the_teacher():
    method = ready(MeanTeacher)
    sum(method(*batches()).values()).backward()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    trained = {id(p) for group in make_optimizer(method, Training()).param_groups for p in group["params"]}
    assert trained == {id(p) for p in method.model.parameters()}


def test_the_teacher_starts_as_the_student_and_shares_nothing_with_it():
    method = build(MeanTeacher)
    torch.testing.assert_close(method.teacher.state_dict(), method.model.state_dict(), rtol=0, atol=0)
    before = copy.deepcopy(method.teacher.state_dict())
    apart(method)
    torch.testing.assert_close(method.teacher.state_dict(), before, rtol=0, atol=0)


def test_the_teacher_is_in_the_state():
    method, fresh = apart(build(MeanTeacher)), build(MeanTeacher, seed=1)
    method.after_step(0.5)
    fresh.load_state_dict(method.state_dict())
    torch.testing.assert_close(fresh.teacher.state_dict(), method.teacher.state_dict(), rtol=0, atol=0)
