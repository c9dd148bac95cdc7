import numpy as np
import torch
from conformance import batches, build
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from acclimate.methods.sourcefree.shot import SHOT
from acclimate.types import Outputs


def outputs_of(method, n=30, seed=1):
    _, target = batches(n_target=n, seed=seed)
    with torch.no_grad():
        return target, method.model(target.inputs, "target")


def test_centroids_are_those_of_two_rounds():
    method = build(SHOT)
    _, out = outputs_of(method)
    features = np.concatenate([out.features.numpy(), np.ones((30, 1))], 1).astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    p = out.logits.double().softmax(1).numpy()
    first = (p.T @ features) / p.sum(0)[:, None]
    labels = cdist(features, first, "cosine").argmin(1)
    expected = [features[labels == k].mean(0) if (labels == k).any() else first[k] for k in range(3)]
    method.before_pass([Outputs(out.features[:7], out.logits[:7]), Outputs(out.features[7:], out.logits[7:])])
    torch.testing.assert_close(method.centroids.double().numpy(), np.array(expected), rtol=1e-5, atol=1e-6)


def test_losses_are_information_maximisation_and_the_nearest_centroids_class():
    method = build(lambda model: SHOT(model, weight=0.5))
    target, out = outputs_of(method)
    method.before_pass([out])
    found = {name: loss.item() for name, loss in method(batches()[0], target).items()}
    p = out.logits.double().softmax(1).numpy()
    features = np.concatenate([out.features.numpy(), np.ones((30, 1))], 1)
    labels = cdist(features, method.centroids.numpy(), "cosine").argmin(1)
    np.testing.assert_allclose(found["entropy"], entropy(p, axis=1).mean(), rtol=1e-5)
    np.testing.assert_allclose(found["diversity"], -entropy(p.mean(0)), rtol=1e-5)
    np.testing.assert_allclose(found["pseudo-labels"], -0.5 * np.log(p[np.arange(30), labels]).mean(), rtol=1e-5)


def test_the_head_stands_still():
    method = build(SHOT)
    head = {name: value.clone() for name, value in method.model.head.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        sum(method(*batches()).values()).backward()
        optimizer.step()
    torch.testing.assert_close(method.model.head.state_dict(), head, rtol=0, atol=0)
