import torch
from torch import nn

from acclimate.methods.testtime.adabn import AdaBN
from acclimate.nn import Classifier


def test_the_statistics_are_the_sources_and_the_streams_by_count():
    norm = nn.BatchNorm1d(3)
    norm.running_mean.fill_(5.0)
    method = AdaBN(Classifier(norm, nn.Identity(), n_features=3, n_classes=3), prior=10)
    batches = torch.randn(8, 3), torch.randn(20, 3)
    for batch in batches:
        method(batch)
    expected = (10 * 5.0 + torch.cat(batches).sum(0)) / 38
    torch.testing.assert_close(method.norms[0].running_mean, expected)
    variances = sum(len(b) * b.var(0) for b in batches)
    torch.testing.assert_close(method.norms[0].running_var, (10 + variances) / 38)


def test_it_answers_by_the_statistics_that_have_the_batch_in_them():
    norm = nn.BatchNorm1d(2)
    method = AdaBN(Classifier(norm, nn.Identity(), n_features=2, n_classes=2), prior=4, most_changed=1.0)
    x = torch.randn(16, 2) + 3
    outputs = method(x).logits
    after = method.norms[0]
    torch.testing.assert_close(outputs, (x - after.running_mean) / (after.running_var + 1e-5).sqrt())
