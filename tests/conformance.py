"""The conformance suite, with what only our own tests need: two processes."""

import torch
from processes import in_two_processes

from acclimate.nn.replicas import current_replica
from acclimate.testing import CHECKS, FEATURES, all_losses, batches, build, ready, state_of, step, turns
from acclimate.types import Labeled, Unlabeled

__all__ = [
    "CHECKS", "FEATURES", "all_losses", "batches", "build", "differ_in_two_processes", "ready", "state_of", "step",
    "turns",
]  # fmt: skip


def losses_and_gradients(method, task="classification"):
    """Of each turn, for a batch of 64 rows; means over the processes, each of which has its rows, as DDP takes them."""
    replica, built = current_replica(), ready(method, task=task)
    source, target = batches(64, 64, task=task)
    own = Labeled(*map(replica.own, source)), Unlabeled(replica.own(target.inputs))
    found = {}
    for turn in turns(built):
        built.zero_grad()
        torch.manual_seed(0)
        losses = built(*own, 0.5, turn)
        sum(losses.values()).backward()
        found |= {f"{turn} {name}": loss.detach() for name, loss in losses.items()}
        found |= {f"{turn} {name}": p.grad for name, p in built.named_parameters() if p.grad is not None}
    return {name: replica.gather(value[None]).mean(0) for name, value in found.items()}


def of_each(named):
    return {name: losses_and_gradients(*of) for name, of in named.items()}


def differ_in_two_processes(folder, named):
    """The names of those methods whose losses or gradients in two processes with half the rows each are others.

    Args:
        folder: An empty one.
        named: Method and task by name.
    """
    one, (two, _) = of_each(named), in_two_processes(folder, of_each, named)
    return {name for name in named if not _close(one[name], two[name])}


def _close(one, two):
    assert one.keys() == two.keys()
    return all(torch.allclose(two[name], value, rtol=1e-5, atol=1e-6) for name, value in one.items())
