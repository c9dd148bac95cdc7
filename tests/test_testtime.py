"""A new file under acclimate/methods/testtime/ is tested here without being named here."""

import inspect

import pytest
import torch
from conformance import state_of
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from acclimate.errors import BadInput
from acclimate.methods import testtime
from acclimate.methods.testtime_base import within
from acclimate.nn import Classifier

ALL = pytest.mark.parametrize("name", testtime.names())


def model():
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU())
    return Classifier(backbone, nn.Linear(16, 3), n_features=16, n_classes=3).eval()


@ALL
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_no_more_than_the_stated_share_of_a_batch_changes_class(name, share):
    plain = model()
    method = testtime.get(name)(plain, most_changed=share)
    for _ in range(5):
        x = 3 * torch.randn(40, 4) + 2
        changed = method(x).logits.argmax(1) != plain(x).logits.argmax(1)
        assert changed.sum() <= 40 * share


@ALL
def test_a_stream_of_single_examples_is_answered_as_without_it(name):
    plain, method = model(), testtime.get(name)(model(), most_changed=1.0)
    for x in torch.randn(5, 1, 4):
        torch.testing.assert_close(method(x).logits, plain(x).logits)


@ALL
def test_it_does_adapt(name):
    plain, method = model(), testtime.get(name)(model(), most_changed=1.0)
    x = 3 * torch.randn(64, 4) + 2
    assert not torch.allclose(method(x).logits, plain(x).logits, atol=1e-3)


@ALL
def test_the_model_it_was_given_stays_as_it_is(name):
    plain = model().train()
    plain.backbone[1].eval()
    before = state_of(plain)
    testtime.get(name)(plain, most_changed=1.0)(torch.randn(32, 4))
    assert state_of(plain) == before


@ALL
def test_it_says_what_it_is(name):
    doc = inspect.getdoc(testtime.get(name))
    parts = (".. math::", "When to use:\n", "Shapes:", "Reference:", "arXiv:")
    for part in (*parts, *(f"{option}:" for option in testtime.options(name))):
        assert part in doc


@ALL
@pytest.mark.parametrize("share", [-0.1, 2.0, float("nan")])
def test_what_is_no_share_of_a_batch_is_refused(name, share):
    with pytest.raises(BadInput, match="must be between 0 and 1"):
        testtime.get(name)(model(), most_changed=share)


@pytest.mark.parametrize("name", ["adabn", "tent"])
def test_a_model_without_batch_norm_is_refused(name):
    bare = Classifier(nn.Identity(), nn.Linear(4, 3), n_features=4, n_classes=3)
    with pytest.raises(BadInput, match=f"test-time {name} needs a model with batch norm"):
        testtime.get(name)(bare)


@given(st.integers(1, 30), st.floats(0, 1), st.integers(0, 2**31))
def test_those_surer_by_most_may_change(n, share, seed):
    generator = torch.Generator().manual_seed(seed)
    p, q = (torch.randn(n, 4, generator=generator) for _ in range(2))
    through = within(p, q, share)
    changed = p.argmax(1) != q.argmax(1)
    gain = q.softmax(1).amax(1) - p.softmax(1).amax(1)
    assert (through & changed).sum() == min(int(share * n), changed.sum())
    assert through[~changed].all()
    if (through & changed).any() and (~through).any():
        assert gain[through & changed].min() >= gain[~through].max()


def test_answers_that_are_no_numbers_are_not_let_through():
    assert within(torch.zeros(2, 3), torch.tensor([[torch.nan] * 3, [0.0] * 3]), 1.0).tolist() == [False, True]
