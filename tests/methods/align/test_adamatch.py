import numpy as np
import pytest
import torch
from conformance import batches, ready, step
from hypothesis import given
from hypothesis import strategies as st

from acclimate import fit
from acclimate.methods.align import adamatch
from acclimate.methods.align.adamatch import AdaMatch, interpolated
from acclimate.nn import Classifier
from acclimate.recipe import Training
from acclimate.types import Labeled, Unlabeled


def still(**options):
    """With views that are the examples themselves."""
    return ready(lambda model: AdaMatch(model, weak=0, strong=0, **options), sure=3.0)


def probabilities(method, x):
    with torch.no_grad():
        return method.model(x).logits.double().softmax(1).numpy()


def by_hand(p_source, p_target, threshold):
    """The loss of soft pseudo-labels, one example at a time."""
    surest = np.mean([row.max() for row in p_source])
    ratio, taught = p_source.mean(0) / p_target.mean(0), 0.0
    for row in p_target:
        moved = row * ratio / (row * ratio).sum()
        if moved.max() >= threshold * surest:
            taught -= (moved * np.log(row)).sum()
    return taught / len(p_target)


@pytest.mark.parametrize("threshold", [0.5, 0.9, 1.1])
def test_losses_are_the_papers(threshold):
    method, (source, target) = still(threshold=threshold, weight=0.5), batches()
    p_source, p_target = (probabilities(method, batch.inputs) for batch in (source, target))
    class_loss = -np.log(p_source[np.arange(len(p_source)), source.labels.numpy()]).mean()
    found = {name: loss.item() for name, loss in method(source, target, 0.25).items()}
    taught = 0.5 * 0.5 * by_hand(p_source, p_target, threshold)
    assert found == pytest.approx({"class": class_loss, "strong views": class_loss, "pseudo-labels": taught}, rel=1e-5)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 999))
def test_interpolated_logits_lie_between_the_two(n, k, seed):
    a, b = torch.randn(2, n, k, generator=torch.Generator().manual_seed(seed))
    found = interpolated(a, b)
    assert (torch.minimum(a, b) - 1e-6 <= found).all()
    assert (found <= torch.maximum(a, b) + 1e-6).all()


def normed():
    layers = torch.nn.Sequential(torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 8))
    return Classifier(layers, torch.nn.Linear(8, 3), n_features=8, n_classes=3)


def test_the_source_is_seen_with_the_target_and_alone(monkeypatch):
    seen = []
    monkeypatch.setattr(adamatch, "interpolated", lambda alone, together: seen.extend((alone, together)) or alone)
    model, (source, target) = normed(), batches()
    AdaMatch(model, weak=0, strong=0)(source, target)
    both = torch.cat([source.inputs] * 2 + [target.inputs] * 2)
    torch.testing.assert_close(seen[0], model(torch.cat([source.inputs] * 2)).logits)
    torch.testing.assert_close(seen[1], model(both).logits[: 2 * len(source.inputs)])


def test_the_pass_of_the_source_alone_is_not_in_batch_norms_statistics():
    model, (source, target) = normed(), batches()
    AdaMatch(model, weak=0, strong=0)(source, target)
    inputs = torch.cat([source.inputs, target.inputs])
    torch.testing.assert_close(model.backbone[0].running_mean, 0.1 * inputs.mean(0))


def test_pseudo_labels_send_no_gradient_to_the_weak_view():
    method, seen = still(), []
    method.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    source, target = batches()
    losses = method(source, Unlabeled(target.inputs.clone().requires_grad_()), 1.0)
    of_weak, of_strong = torch.autograd.grad(losses["pseudo-labels"], seen[0])[0][2 * len(source.inputs) :].chunk(2)
    assert not of_weak.any()
    assert of_strong.any()


def test_what_predicts_is_the_mean_of_what_the_weights_were():
    method = ready(lambda model: AdaMatch(model, decay=0.5))
    optimizer, weight = torch.optim.SGD(method.model.parameters(), lr=0.5), method.model.head[0].weight
    expected = weight.detach().double().clone()
    for i in range(4):
        step(method, optimizer, seed=i)
        expected = (expected + weight.detach().double()) / 2
    method.after_training()
    torch.testing.assert_close(weight.double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("given", "kept"), [({}, True), ({"batch_norm": "separate"}, False)])
def test_both_domains_share_batch_norms_statistics_unless_told_otherwise(given, kept):
    x, y = torch.randn(40, 5), np.arange(40) % 2
    fitted = fit("adamatch", (x, y), x, model=normed().backbone, training=Training(steps=2, **given))
    assert any(type(m) is torch.nn.BatchNorm1d for m in fitted.model.modules()) is kept


def test_it_sees_images_that_are_bytes():
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    model = Classifier(layers, torch.nn.Linear(4, 2), n_features=4, n_classes=2, normalize=Scaled())
    x = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    losses = AdaMatch(model)(Labeled(x, torch.arange(6) % 2), Unlabeled(x), 1.0)
    assert all(loss.isfinite() for loss in losses.values())


class Scaled(torch.nn.Module):
    def forward(self, x):
        return x.float() / 255
