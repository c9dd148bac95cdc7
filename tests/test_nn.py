import copy

import numpy as np
import pytest
import scipy.sparse
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import log_loss, mean_squared_error
from torch import nn
from torch.func import grad, vmap

from acclimate.errors import BadInput
from acclimate.nn import (
    Classifier,
    DomainNorm,
    Normalize,
    SparseLinear,
    certainty,
    csr_rows,
    join,
    keeping_statistics,
    label_loss,
    mlp,
    reverse_grad,
    size_buffers_as_loaded,
)
from acclimate.nn.norm import StandardizeImages


def csr(x):
    rows = scipy.sparse.csr_array(x)
    return csr_rows(*map(torch.from_numpy, (rows.indptr, rows.indices, rows.data)), x.shape[1])


def sparse_array(n, d, seed):
    rng = np.random.default_rng(seed)
    return (rng.random((n, d)) * (rng.random((n, d)) < 0.3)).astype(np.float32)


@given(st.floats(0, 5), st.integers(0, 99))
def test_reverse_grad_is_identity_forward_and_minus_scale_backward(scale, seed):
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    y = reverse_grad(x, scale)
    assert torch.equal(y, x)
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, -scale * 2 * x.detach())


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 99))
def test_sparse_rows_give_what_dense_ones_give(n, d, seed):
    x, layer = sparse_array(n, d, seed), SparseLinear(d, 3)
    dense, sparse = layer(torch.from_numpy(x)), layer(csr(x))
    torch.testing.assert_close(sparse, dense)
    g = torch.randn(n, 3)
    expected = torch.autograd.grad(dense, (layer.weight, layer.bias), g)
    torch.testing.assert_close(torch.autograd.grad(sparse, (layer.weight, layer.bias), g), expected)


def test_sparse_layer_never_makes_its_input_dense(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "to_dense", lambda *a, **k: pytest.fail("made dense"))
    layer = SparseLinear(6, 2)
    layer(csr(sparse_array(4, 6, 0))).sum().backward()
    assert layer.weight.grad.shape == (6, 2)


def test_join_puts_rows_under_rows():
    a, b = sparse_array(3, 5, 0), sparse_array(2, 5, 1)
    together = join(csr(a), csr(b))
    np.testing.assert_array_equal(together.to_dense(), np.concatenate([a, b]))
    np.testing.assert_array_equal(join(torch.from_numpy(a), torch.from_numpy(b)), np.concatenate([a, b]))


def test_normalize_takes_uint8_and_keeps_the_layout():
    x = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8).to(memory_format=torch.channels_last)
    y = Normalize([10.0, 20.0, 30.0], [2.0, 4.0, 5.0])(x)
    torch.testing.assert_close(y[:, 1], (x[:, 1].float() - 20) / 4)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_noise_of_a_nearly_grey_image_is_not_blown_up():
    x = 100 + 0.1 * torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(
        StandardizeImages()(x).std(), (x - x.mean((2, 3), keepdim=True)).std(), rtol=0.01, atol=0
    )


@given(st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_join_copies_halves_of_one_tensor_only_if_they_are_out_of_order(n, m, swapped):
    whole = torch.randn(n + m, 3)
    halves = whole[:n], whole[n:]
    a, b = halves[::-1] if swapped else halves
    torch.testing.assert_close(join(a, b), torch.cat([a, b]), rtol=0, atol=0)
    assert (join(a, b) is whole) == (not swapped)


def test_join_is_not_misled_by_other_views_of_one_tensor():
    whole = torch.randn(6, 4)
    for a, b in [(whole[:3], whole[2:5]), (whole[:2], whole[4:]), (whole[::2], whole[1::2])]:
        torch.testing.assert_close(join(a, b), torch.cat([a, b]), rtol=0, atol=0)


def test_reverse_grad_can_be_batched_over_seeds():
    x = torch.randn(3, 2)
    by_row = vmap(grad(lambda row: reverse_grad(row, 0.5).square().sum()))(x)
    torch.testing.assert_close(by_row, -x)


@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 999))
def test_certainty_is_one_and_the_exponential_of_the_negative_entropy_to_mean_one(n, k, seed):
    z = torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weights = 1 + np.exp(-entropy(z.softmax(1), axis=1))
    np.testing.assert_allclose(certainty(z), weights / weights.mean(), rtol=1e-9)


def test_a_prediction_without_any_doubt_has_a_finite_certainty():
    torch.testing.assert_close(certainty(torch.tensor([[999.0, 0.0], [1.0, 1.0]])), torch.tensor([8, 6]) / 7)


@pytest.mark.parametrize("shared", [True, False])
def test_domain_norm_in_training_is_batch_norm(shared):
    norm, x = nn.BatchNorm1d(4), torch.randn(8, 4)
    ours = DomainNorm(copy.deepcopy(norm), shared=shared)
    torch.testing.assert_close(ours(x), norm(x))
    torch.testing.assert_close(ours.mean_target, norm.running_mean)
    assert torch.equal(ours.mean_source, torch.zeros(4))


def test_domain_norm_evaluates_each_domain_by_its_own_statistics():
    ours = DomainNorm(nn.BatchNorm1d(2), shared=True)
    ours.mean_source.fill_(5.0)
    ours.eval()
    x = torch.full((3, 2), 5.0)
    ours.domain = "source"
    torch.testing.assert_close(ours(x), torch.zeros(3, 2))
    ours.domain = "target"
    assert (ours(x) > 4).all()


def test_domain_norm_of_a_norm_without_momentum_moves_by_a_tenth():
    ours, x = DomainNorm(nn.BatchNorm1d(2, momentum=None), shared=True), torch.randn(5, 2)
    ours(x)
    torch.testing.assert_close(ours.mean_target, 0.1 * x.mean(0))


def test_domain_specific_affine_parameters_are_apart():
    assert len(list(DomainNorm(nn.BatchNorm2d(3), shared=False).parameters())) == 4
    assert len(list(DomainNorm(nn.BatchNorm2d(3), shared=True).parameters())) == 2


def test_one_pass_gives_what_two_give_without_batch_norm():
    model = Classifier(mlp(5, 4, 3), nn.Linear(3, 2), n_features=3, n_classes=2)
    a, b = torch.randn(4, 5), torch.randn(7, 5)
    together = model.both(a, b)
    model.one_pass = False
    for one, two in zip(together, model.both(a, b), strict=True):
        torch.testing.assert_close(one.logits, two.logits)


def test_both_domains_go_through_statistics_of_their_own():
    model = Classifier(nn.BatchNorm1d(3), nn.Linear(3, 2), n_features=3, n_classes=2)
    model.separate_batch_norm(shared=True)
    source, target = torch.randn(6, 3) + 5, torch.randn(4, 3) - 5
    model.both(source, target)
    torch.testing.assert_close(model.backbone.mean_source, 0.1 * source.mean(0))
    torch.testing.assert_close(model.backbone.mean_target, 0.1 * target.mean(0))


def test_separate_batch_norm_replaces_every_norm_and_keeps_its_weights():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    nn.init.normal_(backbone[1].weight)
    weight = backbone[1].weight.detach().clone()
    model = Classifier(backbone, nn.Linear(16, 2), n_features=16, n_classes=2)
    model.separate_batch_norm(shared=True)
    assert isinstance(model.backbone[1], DomainNorm)
    assert torch.equal(model.backbone[1].weight_both, weight)
    assert not model.one_pass


def test_frozen_batch_norm_goes_by_its_statistics_and_learns_its_scales():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model = Classifier(net, nn.Linear(4, 2), n_features=4, n_classes=2).narrowed(4)
    model.freeze_batch_norm()
    model.separate_batch_norm(shared=True)
    model.train()(torch.randn(8, 3) + 5).logits.sum().backward()
    assert torch.equal(net[1].running_mean, torch.zeros(4))
    assert net[1].weight.grad is not None
    assert isinstance(model.backbone.bottleneck[1], DomainNorm)


def test_timms_activation_behind_a_batch_norm_is_kept():
    from timm.layers import BatchNormAct2d

    norm = BatchNormAct2d(4).eval()
    ours, x = DomainNorm(norm, shared=True).eval(), torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(ours(x), norm(x))


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 99))
def test_the_label_loss_is_scikit_learns_of_classes_and_of_numbers(n, k, seed):
    rng = np.random.default_rng(seed)
    logits, classes, numbers = rng.normal(size=(n, k)), rng.integers(k, size=n), rng.normal(size=n)
    [(name, of_classes)] = label_loss(torch.from_numpy(logits), torch.from_numpy(classes)).items()
    assert name == "class"
    assert of_classes.item() == pytest.approx(log_loss(classes, scipy.special.softmax(logits, 1), labels=range(k)))
    [(name, of_numbers)] = label_loss(torch.from_numpy(logits[:, :1]), torch.from_numpy(numbers)).items()
    assert name == "squared error"
    assert of_numbers.item() == pytest.approx(mean_squared_error(numbers, logits[:, 0]))


def test_numbers_are_not_smoothed():
    with pytest.raises(BadInput, match="label_smoothing: applies to classes only"):
        label_loss(torch.zeros(2, 1), torch.zeros(2), label_smoothing=0.1)


@pytest.mark.parametrize("apart", [False, True])
def test_statistics_stay_while_they_are_kept_and_run_again_afterwards(apart):
    model = Classifier(nn.BatchNorm1d(3), nn.Linear(3, 2), n_features=3, n_classes=2)
    if apart:
        model.separate_batch_norm(shared=True)
    before = {name: value.clone() for name, value in model.state_dict().items() if "num_batches" not in name}
    with keeping_statistics(model):
        inside = model(torch.randn(9, 3, generator=torch.Generator().manual_seed(0)) + 5).features
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    torch.testing.assert_close(inside.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    model(torch.ones(4, 3))
    assert any(not torch.equal(model.state_dict()[name], value) for name, value in before.items())


class Rows(nn.Module):
    def __init__(self, n=0):
        super().__init__()
        self.register_buffer("rows", torch.arange(n))
        self.inner = nn.Linear(2, 2)
        size_buffers_as_loaded(self)


def test_buffers_take_the_sizes_of_what_is_loaded():
    full, empty = nn.Sequential(Rows(5)), copy.deepcopy(nn.Sequential(Rows()))
    empty.load_state_dict(full.state_dict())
    assert torch.equal(empty[0].rows, torch.arange(5))
    with pytest.raises(RuntimeError, match="size mismatch"):
        empty.load_state_dict(full.state_dict() | {"0.inner.weight": torch.zeros(3, 2)})


def test_outputs_of_normalized_inputs_are_those_of_inputs():
    model = Classifier(mlp(3, 4), nn.Linear(4, 2), n_features=4, n_classes=2, normalize=nn.LayerNorm(3))
    x = torch.randn(5, 3)
    torch.testing.assert_close(model.of_normalized(model.normalize(x)), model(x))
