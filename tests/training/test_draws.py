"""Random numbers of a loss come from a generator and can be drawn again."""

import pytest
import torch
from torch.nn.functional import dropout

from acclimate.training.draws import Given, Recorded

X = torch.ones(4, 3)
DRAWS = {
    "rand": lambda: torch.rand(4, 2),
    "randn": lambda: torch.randn((2, 3), dtype=torch.float64),
    "rand_like": lambda: torch.rand_like(X),
    "randn_like": lambda: torch.randn_like(X),
    "dropout": lambda: dropout(X, 0.3),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_recorded_draw_is_what_torch_draws_from_that_seed(name):
    torch.manual_seed(5)
    expected = DRAWS[name]()
    with Recorded(torch.Generator().manual_seed(5)) as recorded:
        drawn = DRAWS[name]()
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0)
    torch.testing.assert_close(recorded.draws[0](torch.Generator().manual_seed(5)), recorded.drawn[0], rtol=0, atol=0)


def test_given_numbers_are_taken_in_order():
    with Given([torch.zeros(2), torch.ones(2)]):
        assert torch.rand(2).tolist() == [0, 0]
        assert torch.randn(2).tolist() == [1, 1]


@pytest.mark.parametrize("off", [{"p": 0.0}, {"p": 0.5, "training": False}])
def test_dropout_that_drops_nothing_draws_nothing(off):
    with Recorded(torch.Generator()) as recorded:
        assert torch.equal(dropout(X, **off), X)
    assert not recorded.draws
