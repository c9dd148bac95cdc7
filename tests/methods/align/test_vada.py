import numpy as np
import pytest
import scipy.sparse
import torch
from conformance import batches, build
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div

from acclimate.data.inputs import SparseInputs
from acclimate.methods.align.vada import VADA, of_length
from acclimate.nn import Classifier, SparseLinear
from acclimate.types import Labeled, Unlabeled


def linear(k=2, d=4, **options):
    """A classifier whose worst change can be told: of two classes, along the difference of their weights."""
    torch.manual_seed(0)
    model = Classifier(torch.nn.Identity(), torch.nn.Linear(d, k), n_features=d, n_classes=k)
    return VADA(model, **options)


def smoothness(method, x):
    return method.smoothness(x, method.model(x), "target")


@given(st.integers(0, 999), st.floats(0.01, 0.3))
def test_of_a_linear_classifier_of_two_classes_the_worst_change_is_along_its_weights(seed, radius):
    method = linear(radius=radius).double()
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    w = method.model.head.weight.detach()
    normal = (w[0] - w[1]) / torch.linalg.norm(w[0] - w[1])
    size, found = radius * torch.linalg.norm(x, dim=1), smoothness(method, x)
    p = method.model(x).logits.log_softmax(1)
    sides = [method.model(x + s * size[:, None] * normal).logits.log_softmax(1) for s in (1, -1)]
    either = torch.stack([kl_div(q, p, reduction="none", log_target=True).sum(1) for q in sides])
    assert either.amin(0).mean() - 1e-9 <= found <= either.amax(0).mean() + 1e-9


def test_the_worst_change_is_sought_at_a_tenth_of_its_length(monkeypatch):
    method, x, seen = linear(radius=0.2), torch.randn(7, 4), []
    usual = method.model.of_normalized
    outputs = method.model(x)
    monkeypatch.setattr(
        method.model, "of_normalized", lambda y, domain: (seen.append(y.detach() - x), usual(y, domain))[1]
    )
    method.smoothness(x, outputs, "target")
    lengths = torch.stack(seen).norm(dim=2) / x.norm(dim=1)
    torch.testing.assert_close(lengths, torch.tensor([[0.02], [0.2]]).expand(2, 7))


def test_of_many_classes_the_worst_change_found_is_worse_than_chance():
    method, x = build(VADA), batches()[1].inputs
    p, size = method.model(x).logits.log_softmax(1), 0.063 * torch.linalg.norm(x, dim=1)
    random = [method.model(x + of_length(torch.randn_like(x), size)).logits.log_softmax(1) for _ in range(30)]
    by_chance = np.mean([kl_div(q, p, reduction="batchmean", log_target=True).item() for q in random])
    assert smoothness(method, x).item() > 1.5 * by_chance


def test_the_other_losses_are_dann_with_a_constant_and_the_targets_entropy():
    method, (source, target) = build(lambda model: VADA(model, target=0.5)), batches()
    found = method(source, target)
    p = method.model(target.inputs).logits.detach().double().softmax(1).numpy()
    assert found["entropy"].item() == pytest.approx(0.5 * entropy(p, axis=1).mean(), rel=1e-5)
    features = [method.model(batch.inputs).features for batch in (source, target)]
    truth = zip(features, (torch.ones(12, 1), torch.zeros(9, 1)), strict=True)
    domain = sum(binary_cross_entropy_with_logits(method.discriminator(f), y) for f, y in truth)
    torch.testing.assert_close(found["domain"], domain)


def test_the_features_get_the_discriminators_gradient_reversed_and_scaled():
    method = build(lambda model: VADA(model, weight=0.25))
    a, b = torch.randn(12, 8, requires_grad=True), torch.randn(9, 8, requires_grad=True)
    reversed_ = torch.autograd.grad(method.domain_loss(a, b), (a, b))
    method.weight = -1.0
    straight = torch.autograd.grad(method.domain_loss(a, b), (a, b))
    torch.testing.assert_close(reversed_, tuple(-0.25 * g for g in straight))


def test_predictions_are_a_constant_to_the_smoothness():
    method, x = linear(), torch.randn(5, 4)
    outputs = method.model(x)
    loss = method.smoothness(x, outputs, "target")
    assert torch.autograd.grad(loss, outputs.logits, allow_unused=True) == (None,)


def test_changes_are_not_in_batch_norms_statistics():
    layers = torch.nn.Sequential(torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 8))
    method = VADA(Classifier(layers, torch.nn.Linear(8, 3), n_features=8, n_classes=3))
    source, target = batches()
    method(source, target)
    torch.testing.assert_close(layers[0].running_mean, 0.1 * torch.cat([source.inputs, target.inputs]).mean(0))


def test_sparse_rows_are_made_dense_for_it():
    x = scipy.sparse.random_array((9, 40), density=0.2, format="csr", dtype=np.float32, rng=np.random.default_rng(0))
    rows = SparseInputs(x).batch(np.arange(9))
    model = Classifier(SparseLinear(40, 8), torch.nn.Linear(8, 3), n_features=8, n_classes=3)
    losses = VADA(model)(Labeled(rows, torch.arange(9) % 3), Unlabeled(rows))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["smoothness"] > 0


def test_what_has_no_length_is_not_changed():
    assert not of_length(torch.zeros(2, 3), torch.ones(2)).any()
