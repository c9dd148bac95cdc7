import numpy as np
import pytest
import torch
from torch import nn

from acclimate.data.inputs import DenseInputs
from acclimate.nn import Classifier
from acclimate.training import inference
from acclimate.training.inference import estimate_statistics, validate


def test_validation_is_by_the_sources_statistics():
    model = Classifier(nn.BatchNorm1d(2), nn.Identity(), n_features=2, n_classes=2)
    model.separate_batch_norm(shared=True)
    model.backbone.mean_source.copy_(torch.tensor([5.0, 0.0]))
    x = np.array([[6, 0], [5, 1], [4, 0]], np.float32)  # without the mean: 1 0, 0 1, -1 0
    found = validate(model, DenseInputs(x), np.array([0, 1, 0]), torch.device("cpu"))
    assert found["source_val_accuracy"] == pytest.approx(2 / 3)
    expected = (2 * np.log1p(np.exp(-1)) + np.log1p(np.exp(1))) / 3
    assert found["source_val_loss"] == pytest.approx(expected, rel=1e-4)
    assert model.training


def test_statistics_of_a_large_domain_are_from_rows_all_over_it(monkeypatch):
    monkeypatch.setattr(inference, "STATISTICS_ROWS", 50)
    model = Classifier(nn.BatchNorm1d(1), nn.Linear(1, 2), n_features=1, n_classes=2)
    model.separate_batch_norm(shared=True)
    estimate_statistics(model, DenseInputs(np.arange(100, dtype=np.float32)[:, None]), "target")
    assert model.backbone.mean_target.item() == pytest.approx(49.5, abs=10)  # the first 50 rows have 24.5
