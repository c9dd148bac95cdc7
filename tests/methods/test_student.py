import numpy as np
import pytest
import torch
from conformance import batches, build
from scipy.stats import entropy
from torch import nn

from acclimate.methods.student import Student
from acclimate.types import Outputs


class Teacher(nn.Module):
    """Predicts by a fixed matrix, and by noise in training mode."""

    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_inputs, n_classes, generator=torch.Generator().manual_seed(0)))

    def forward(self, inputs, domain="target"):
        logits = inputs @ self.weight + (torch.randn(len(inputs), self.weight.shape[1]) if self.training else 0)
        return Outputs(inputs, logits)


@pytest.fixture
def method():
    n_inputs = batches()[1].inputs.shape[1]
    return build(lambda model: Student(model, teacher=Teacher(n_inputs, model.n_classes)))


def test_the_loss_is_the_divergence_from_the_teacher(method):
    source, target = batches()
    method.train()
    loss = method(source, target)["distillation"].item()
    with torch.no_grad():
        p = method.model(target.inputs, "target").logits.double().softmax(1).numpy()
        q = method.teacher(target.inputs).logits.double().softmax(1).numpy()
    np.testing.assert_allclose(loss, entropy(q, p, axis=1).mean(), rtol=1e-5)


def test_the_teacher_is_not_trained(method):
    sum(method(*batches()).values()).backward()
    assert method.teacher.weight.grad is None
    assert all(p is not method.teacher.weight for p in method.trainable())


def test_a_student_comes_to_predict_what_its_teacher_predicts(method):
    source, target = batches(n_target=64)
    optimizer, losses = torch.optim.Adam(method.trainable(), lr=0.01), []
    for _ in range(200):
        optimizer.zero_grad()
        loss = method(source, target)["distillation"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10
