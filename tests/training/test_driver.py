import pytest
import torch
from torch import nn

from acclimate.nn import Classifier
from acclimate.training.driver import outputs_of


@pytest.mark.parametrize("mode", [True, False])
def test_a_pass_over_a_domain_is_in_evaluation_mode_and_restores_the_models(mode):
    backbone = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))
    model = Classifier(backbone, nn.Linear(4, 2), n_features=4, n_classes=2).train(mode)
    x = torch.randn(6, 4) + 3
    [outputs] = outputs_of(model, [x])
    torch.testing.assert_close(outputs.features, x / (1 + 1e-5) ** 0.5)
    assert model.training == mode
    assert not backbone[0].running_mean.any()
