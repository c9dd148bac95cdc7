import numpy as np
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from acclimate.methods.testtime.lame import LAME, neighbourhood
from acclimate.nn import Classifier


def test_neighbours_are_the_nearest_by_cosine_and_not_oneself():
    angles = torch.tensor([0.0, 0.1, 0.3, 3.0])
    w = neighbourhood(torch.stack([angles.cos(), angles.sin()], 1) * torch.tensor([[1.0], [9.0], [1.0], [1.0]]), 1)
    # 0 and 1 choose each other, 2 chooses 1, 3 chooses 2
    expected = [[0, 1, 0, 0], [1, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 0.5, 0]]
    torch.testing.assert_close(w, torch.tensor(expected))


def test_it_settles_where_the_papers_update_stands_still():
    torch.manual_seed(0)
    method = LAME(Classifier(nn.Identity(), nn.Linear(4, 3), n_features=4, n_classes=3), neighbours=3, most_changed=1.0)
    x = torch.randn(20, 4)
    outputs = method(x).logits.double().softmax(1).numpy()
    log_p = log_softmax(method.before(x).logits.detach().numpy().astype(float), axis=1)
    w = neighbourhood(x, 3).double().numpy()
    np.testing.assert_allclose(softmax(log_p + w @ outputs, axis=1), outputs, atol=1e-4)


def test_twins_of_sure_examples_follow_them():
    head = nn.Linear(2, 2, bias=False)
    head.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    method = LAME(Classifier(nn.Identity(), head, n_features=2, n_classes=2), neighbours=2, most_changed=1.0)
    x = torch.tensor([[9.0, 8.0], [9.0, 8.5], [0.9, 1.0], [-3.0, 3.0], [-3.0, 3.1], [-3.0, 2.9]])
    assert method.before(x).logits.argmax(1).tolist() == [0, 0, 1, 1, 1, 1]
    assert method(x).logits.argmax(1).tolist() == [0, 0, 0, 1, 1, 1]
