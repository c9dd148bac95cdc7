"""A traced function gives what the function gives."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import grad, vmap

from acclimate.training.replay import traced


def calls(replayed):
    return [node for node in replayed.__self__.graph.nodes if node.op == "call_function"]


def names(replayed):
    return [getattr(node.target, "__name__", "") for node in calls(replayed)]


def test_it_gives_the_same_for_other_numbers():
    def function(x, y):
        return {"a": (x @ y).softmax(1), "b": (x.square().mean(0), y.exp())}

    replayed = traced(function, torch.randn(3, 4), torch.randn(4, 2))
    x, y = torch.randn(3, 4), torch.randn(4, 2)
    torch.testing.assert_close(replayed(x, y), function(x, y), rtol=0, atol=0)


def test_what_is_changed_in_place_is_changed_by_a_replay_alone():
    norm = nn.BatchNorm1d(2)

    def function(x, mean, var):
        return nn.functional.batch_norm(x, mean, var, None, None, True)

    replayed = traced(function, torch.randn(5, 2), torch.zeros(2), torch.ones(2))
    x, mean, var = 3 + torch.randn(5, 2), torch.zeros(2), torch.ones(2)
    replayed(x, mean, var)
    norm(x)
    torch.testing.assert_close((mean, var), (norm.running_mean, norm.running_var))


def test_what_is_computed_twice_is_computed_once():
    replayed = traced(lambda x: x.exp() + x.exp(), torch.zeros(2))
    assert names(replayed).count("exp") == 1


def test_what_does_not_depend_on_arguments_is_computed_when_traced():
    replayed = traced(lambda x: x + torch.zeros_like(x).exp().cumsum(0), torch.zeros(3))
    assert names(replayed) == ["add"]
    assert replayed(torch.ones(3)).tolist() == [2, 3, 4]


def test_halves_that_are_joined_again_are_not_copied():
    replayed = traced(lambda x: torch.cat([x[:2], x[2:]]).exp(), torch.zeros(5, 3))
    assert names(replayed) == ["exp"]


@pytest.mark.parametrize("parts", [(slice(2, None), slice(2)), (slice(2), slice(3, None)), (slice(3), slice(2, None))])
def test_other_parts_are_joined(parts):
    def function(x):
        return torch.cat([x[part] for part in parts]).exp()

    x = torch.randn(5, 3)
    torch.testing.assert_close(traced(function, torch.zeros(5, 3))(x), function(x), rtol=0, atol=0)


def test_gradients_of_stacked_layers_lie_in_memory_as_their_weights():
    def of_one(weight, bias, x):
        return nn.functional.linear(x, weight, bias).square().sum()

    def function(weight, bias, x):
        return vmap(grad(of_one, argnums=(0, 1)))(weight, bias, x)

    given = torch.randn(3, 4, 5), torch.randn(3, 4), torch.randn(3, 7, 5)
    replayed = traced(function, *given)
    assert replayed(*given)[0].is_contiguous()
    assert "baddbmm" in names(replayed)
    torch.testing.assert_close(replayed(*given), function(*given))


def test_a_function_that_depends_on_values_is_refused():
    with pytest.raises(RuntimeError):
        traced(lambda x: x if x.sum() > 0 else -x, torch.ones(2))


def test_a_trace_notes_all_shapes_in_one_mode(monkeypatch):
    made, init = [], FakeTensorMode.__init__

    def counting(self, *given, **named):
        made.append(self)
        init(self, *given, **named)

    monkeypatch.setattr(FakeTensorMode, "__init__", counting)
    traced(lambda x: x.exp().log().sin(), torch.randn(3))
    assert len(made) == 1
