import math

import numpy as np
import pytest
import torch
from conformance import batches, ready

from acclimate.augment import views
from acclimate.methods.align.self_training import SelfTraining
from acclimate.nn import Classifier
from acclimate.types import Labeled, Unlabeled


def still(**options):
    """With views that are the examples themselves, so that a loss can be told from one pass of the model."""
    return ready(lambda model: SelfTraining(model, weak=0, strong=0, **options), sure=3.0)


def probabilities(method, x):
    with torch.no_grad():
        return method.model(x).logits.double().softmax(1).numpy()


def by_hand(p_source, labels, p_target, threshold, alignment):
    """FixMatch's loss with AdaMatch's threshold and alignment, one example at a time."""
    surest = np.mean([row.max() for row in p_source])
    ratio = p_source.mean(0) / p_target.mean(0) if alignment else np.ones(p_source.shape[1])
    taught = 0.0
    for row in p_target:
        moved = row * ratio / (row * ratio).sum()
        if moved.max() >= threshold * surest:
            taught -= math.log(row[moved.argmax()])
    return -np.log(p_source[np.arange(len(labels)), labels]).mean(), taught / len(p_target)


@pytest.mark.parametrize("alignment", [True, False])
@pytest.mark.parametrize("threshold", [0.5, 0.9, 1.1])
def test_losses_are_the_papers(alignment, threshold):
    method, (source, target) = still(threshold=threshold, alignment=alignment, weight=0.5), batches()
    p_source, p_target = (probabilities(method, batch.inputs) for batch in (source, target))
    class_loss, taught = by_hand(p_source, source.labels.numpy(), p_target, threshold, alignment)
    found = {name: loss.item() for name, loss in method(source, target, 0.25).items()}
    expected = {"class": class_loss, "strong views": class_loss, "pseudo-labels": 0.5 * 0.5 * taught}
    assert found == pytest.approx(expected, rel=1e-5)


def test_pseudo_labels_are_those_of_weak_views(monkeypatch):
    monkeypatch.setattr(views, "strong", lambda x, **options: 0 * x)
    method = ready(lambda model: SelfTraining(model, weak=0, threshold=0, alignment=False), sure=3.0)
    source, target = batches()
    of_strong = probabilities(method, 0 * target.inputs)
    expected = -np.log(
        [p[weak.argmax()] for p, weak in zip(of_strong, probabilities(method, target.inputs), strict=True)]
    )
    assert method(source, target, 1.0)["pseudo-labels"].item() == pytest.approx(expected.mean(), rel=1e-5)


def test_below_the_threshold_nothing_is_taught():
    losses = still(threshold=1e3)(*batches(), 1.0)
    assert losses["pseudo-labels"] == 0
    assert losses["class"] > 0


def test_pseudo_labels_send_no_gradient_to_the_weak_view():
    method, seen = still(), []
    method.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    source, target = batches()
    inputs = target.inputs.clone().requires_grad_()
    losses = method(source, Unlabeled(inputs), 1.0)
    of_weak, of_strong = torch.autograd.grad(losses["pseudo-labels"], seen, allow_unused=True)
    assert of_weak is None
    assert of_strong[len(source.inputs) :].any()


def test_strong_views_are_not_in_batch_norms_statistics():
    layers = torch.nn.Sequential(torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 8))
    model = Classifier(layers, torch.nn.Linear(8, 3), n_features=8, n_classes=3)
    method, (source, target) = SelfTraining(model, weak=0, strong=1), batches()
    method(source, target)
    inputs = torch.cat([source.inputs, target.inputs])
    torch.testing.assert_close(layers[0].running_mean, 0.1 * inputs.mean(0))


def test_it_sees_images_that_are_bytes():
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    model = Classifier(layers, torch.nn.Linear(4, 2), n_features=4, n_classes=2, normalize=Scaled())
    x = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    losses = SelfTraining(model)(Labeled(x, torch.arange(6) % 2), Unlabeled(x), 1.0)
    assert all(loss.isfinite() for loss in losses.values())


class Scaled(torch.nn.Module):
    def forward(self, x):
        return x.float() / 255
