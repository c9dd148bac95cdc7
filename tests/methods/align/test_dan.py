import numpy as np
import torch
from conformance import batches, build
from scipy.spatial.distance import cdist
from torch.nn.functional import cross_entropy

from acclimate.methods.align.dan import DAN


def numpy_mmd(a, b, powers):
    x, n = torch.cat([a, b]).detach().double().numpy(), len(a)
    squared = cdist(x, x, "sqeuclidean")
    gamma = squared.sum() / (len(x) * (len(x) - 1))
    k = np.mean([np.exp(-squared / (gamma * 2.0**q)) for q in powers], axis=0)
    return k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()


def test_each_chosen_layer_has_its_weight():
    layers, powers = {"features": 2.0, "logits": 0.5, "0": 3.0}, (-1, 0)
    method = build(lambda model: DAN(model, layers=layers, weight=0.1, powers=powers))
    source, target = batches()
    found = method(source, target, 0.5)
    out_source, out_target = method.model(source.inputs), method.model(target.inputs)
    first = [method.model.backbone[0](b.inputs) for b in (source, target)]
    pairs = {
        "features": (out_source.features, out_target.features),
        "logits": (out_source.logits, out_target.logits),
        "0": first,
    }
    for name, pair in pairs.items():
        expected = 0.1 * layers[name] * numpy_mmd(*pair, powers)
        np.testing.assert_allclose(found[f"mmd {name}"].item(), expected, rtol=1e-4)
    torch.testing.assert_close(found["class"], cross_entropy(out_source.logits, source.labels))


def test_descent_brings_the_domains_together():
    method = build(DAN)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    gaps = []
    for _ in range(20):
        loss = method(*batches(), 0.5)["mmd features"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gaps.append(loss.item())
    assert gaps[-1] < gaps[0] / 2
