import copy

import numpy as np
import torch
from conformance import batches, build
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from acclimate.methods.sourcefree.nrc import NRC, nearest_others
from acclimate.types import Outputs


def outputs_of(method, n=30, seed=1):
    _, target = batches(n_target=n, seed=seed)
    with torch.no_grad():
        return target, method.model(target.inputs, "target")


def by_hand(features, scores, batch, p, k, m, r):
    """The paper's losses, one example and one neighbour at a time; each of the batch is in the bank."""
    bank, found = cdist(features, features, "cosine"), [0.0, 0.0, 0.0]
    np.fill_diagonal(bank, np.inf)
    expanded = bank.argsort(1)[:, :m]
    for i in range(len(batch)):
        order = cdist(batch[i : i + 1], features, "cosine")[0].argsort()
        found[0] -= scores[order[0]] @ p[i]
        for near in order[1 : k + 1]:
            found[1] -= (1 if order[0] in expanded[near] else r) * scores[near] @ p[i]
            found[2] -= r * sum(scores[far] @ p[i] for far in expanded[near])
    return np.array(found) / len(batch)


def test_losses_are_the_papers():
    method = build(lambda model: NRC(model, neighbours=3, expanded=4, far=0.2))
    target, out = outputs_of(method)
    method.before_pass([Outputs(out.features[:7], out.logits[:7]), Outputs(out.features[7:], out.logits[7:])])
    losses = method(batches()[0], target._replace(inputs=target.inputs[5:17]))
    features, scores = out.features.double().numpy(), out.logits.double().softmax(1).numpy()
    expected = by_hand(features, scores, features[5:17], scores[5:17], 3, 4, 0.2)
    found = [losses[name].item() for name in ("itself", "neighbours", "expanded")]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(losses["diversity"].item(), -entropy(scores[5:17].mean(0)), rtol=1e-5)


def test_the_row_that_is_the_example_itself_is_none_of_its_neighbours():
    method = build(lambda model: NRC(model, neighbours=1, expanded=1))
    target, out = outputs_of(method)
    method.before_pass([out])
    method.scores = torch.eye(30)[:, :3] * 0
    method.scores[4, 0] = 1.0
    losses = method(batches()[0], target._replace(inputs=target.inputs[4:5]))
    p = out.logits[4].softmax(0)[0]
    torch.testing.assert_close(losses["itself"], -p)
    assert losses["neighbours"] == 0


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 999))
def test_nearest_others_are_those_of_all_distances(n, most, seed):
    x = torch.nn.functional.normalize(
        torch.randn(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    )
    distances = cdist(x.numpy(), x.numpy(), "cosine")
    np.fill_diagonal(distances, np.inf)
    assert np.array_equal(nearest_others(x, most).numpy(), distances.argsort(1)[:, : min(most, n - 1)])


def test_nearest_others_of_more_rows_than_are_compared_at_once(monkeypatch):
    x = torch.nn.functional.normalize(torch.randn(50, 4))
    whole = nearest_others(x, 3)
    monkeypatch.setattr("acclimate.methods.sourcefree.nrc.ROWS_AT_ONCE", 7)
    assert torch.equal(nearest_others(x, 3), whole)


def test_a_bank_goes_into_a_method_that_was_built_without_knowing_its_size():
    method, fresh = build(NRC), copy.deepcopy(build(NRC, seed=1))
    method.before_pass([outputs_of(method)[1]])
    assert fresh.features.shape == (0, 8)
    fresh.load_state_dict(method.state_dict())
    torch.testing.assert_close(fresh.state_dict(), method.state_dict(), rtol=0, atol=0)
    fresh.before_pass([outputs_of(method, n=12)[1]])
    assert method.features.shape == (30, 8)


def test_a_target_of_one_example_has_no_neighbours():
    method = build(NRC)
    target, out = outputs_of(method, n=1)
    method.before_pass([out])
    losses = method(batches()[0], target)
    assert losses["neighbours"] == losses["expanded"] == 0
