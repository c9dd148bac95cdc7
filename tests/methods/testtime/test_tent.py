import torch
from scipy.stats import entropy as scipy_entropy
from torch import nn

from acclimate.methods.testtime.tent import Tent, entropy
from acclimate.nn import Classifier


def model():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
    return Classifier(backbone, nn.Linear(6, 3), n_features=6, n_classes=3)


def test_entropy_is_scipys():
    logits = torch.randn(7, 5, dtype=torch.float64)
    torch.testing.assert_close(entropy(logits).item(), scipy_entropy(logits.softmax(1), axis=1).mean())


def test_only_the_scales_and_shifts_of_batch_norm_move():
    method = Tent(model(), lr=0.1)
    method(torch.randn(32, 4))
    before, after = method.before.state_dict(), method.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name]) and "running" not in name}
    assert moved == {"backbone.1.weight", "backbone.1.bias", "backbone.1.num_batches_tracked"}


def test_it_becomes_surer_of_what_it_sees():
    method, x = Tent(model(), lr=0.01), torch.randn(64, 4)
    first = entropy(method.adapt(x, None, "target").logits).item()
    for _ in range(20):
        last = entropy(method.adapt(x, None, "target").logits).item()
    assert last < first - 0.03


def test_each_batch_has_a_gradient_of_its_own(monkeypatch):
    method, x, seen = Tent(model(), lr=0.0), torch.randn(32, 4), []
    step, [norm] = method.optimizer.step, method.norms
    monkeypatch.setattr(method.optimizer, "step", lambda: (seen.append(norm.weight.grad.clone()), step()))
    method(x)
    method(x)
    assert seen[0].any()
    torch.testing.assert_close(seen[1], seen[0])
