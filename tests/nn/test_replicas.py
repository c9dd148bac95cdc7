import pytest
import torch
from processes import in_two_processes

from acclimate.nn.replicas import WHOLE, Replica, current_replica, gather, gather_outputs
from acclimate.types import Outputs

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
DRAWS = {
    "uniform": lambda replica, x: replica.uniform(x, 3, 2),
    "normal": lambda replica, x: replica.normal(x),
    "normal_like": lambda replica, x: replica.normal_like(x),
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_what_processes_draw_is_together_what_one_draws(draw, layout):
    def drawn(replica, x):
        torch.manual_seed(0)
        return DRAWS[draw](replica, replica.own(x))

    x = torch.zeros(12, 2, 4, 3).to(memory_format=layout)
    whole = drawn(WHOLE, x)
    for rank in range(3):
        assert torch.equal(drawn(Replica(rank, 3), x), whole[rank::3])


def test_one_process_is_given_its_own_rows_back():
    rows = torch.ones(3, 2)
    assert current_replica() == WHOLE
    assert gather(rows) is rows


def rows_of_all(x):
    own = current_replica().own(x)
    outputs = gather_outputs(Outputs(own, own[:, :1], {"0": own + 1}))
    return {"rows": gather(own), "labels": gather(own[:, 0].long()), **outputs._asdict()}


def test_each_process_gets_all_rows_in_the_order_of_the_batch(tmp_path):
    x = torch.arange(12.0).view(6, 2)
    expected = {"rows": x, "labels": x[:, 0].long(), "features": x, "logits": x[:, :1], "layers": {"0": x + 1}}
    for found in in_two_processes(tmp_path, rows_of_all, x):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def contrast(own, whole, rank, world):
    """A loss in which a process's own rows meet those of all, as in contrastive learning."""
    return (own @ whole.T).softmax(1)[range(len(own)), range(rank, len(whole), world)].log().sum()


def gradient_of_contrast(x, weight):
    replica, weight = current_replica(), weight.clone().requires_grad_()
    own = replica.own(x) @ weight
    contrast(own, gather(own), *replica).backward()
    return replica.gather(weight.grad[None]).sum(0)


def test_a_gradient_is_the_sum_of_what_all_processes_send_though_their_losses_differ(tmp_path):
    g = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 3, generator=g, dtype=torch.float64) for n in (8, 3))
    alone = weight.clone().requires_grad_()
    contrast(x @ alone, x @ alone, 0, 1).backward()
    for found in in_two_processes(tmp_path, gradient_of_contrast, x, weight):
        torch.testing.assert_close(found, alone.grad)
