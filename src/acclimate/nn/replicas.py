"""A batch that several processes share: the rows of one of them, and the whole batch where a loss needs it."""

from typing import NamedTuple

import torch
from torch import Tensor, distributed
from torch.autograd.function import FunctionCtx

from acclimate.types import Outputs


class Replica(NamedTuple):
    """One of the processes that share each batch: it has every ``world``-th row, starting at ``rank``.

    Random numbers are drawn for the whole batch, so that several processes do to each example what one would.

    Attributes:
        rank: Which process this is.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    def own(self, rows: Tensor) -> Tensor:
        """This process's rows of the whole batch."""
        return rows[self.rank :: self.world]

    def uniform(self, x: Tensor, *shape: int) -> Tensor:
        """Numbers from 0 to 1, ``(n, *shape)``, for ``x (n, …)``."""
        return self.own(torch.rand(len(x) * self.world, *shape, device=x.device, dtype=torch.float32))

    def normal(self, x: Tensor) -> Tensor:
        """Normal numbers in the shape of ``x (n, …)``."""
        shape = (len(x) * self.world, *x.shape[1:])
        return self.own(torch.randn(shape, device=x.device, dtype=torch.float32))

    def normal_like(self, x: Tensor) -> Tensor:
        """Normal numbers in the shape, type and memory layout of ``x (n, …)``."""
        return torch.randn_like(x) if self.world == 1 else self.own(torch.randn_like(torch.cat([x] * self.world)))

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in the order of the whole batch; ``rows`` itself if there is one process.

        Every process must call it, each with the same number of rows. The gradient of a row is the sum of what all
        processes send it. DDP averages gradients over the processes, so the step is that of one process with the
        whole batch.
        """
        if self.world == 1:
            return rows
        whole: Tensor = _Gather.apply(rows, self)
        return whole


WHOLE = Replica()
"""The only process: it has all rows."""


def current_replica() -> Replica:
    """This process's place in torch's default process group; `WHOLE` where there is none."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return WHOLE
    return Replica(distributed.get_rank(), distributed.get_world_size())


def gather(rows: Tensor) -> Tensor:
    """The rows of all processes of torch's default process group (`Replica.gather`)."""
    return current_replica().gather(rows)


def gather_outputs(outputs: Outputs) -> Outputs:
    """The outputs for the whole batch, from each process's outputs for its own rows."""
    layers = {name: gather(layer) for name, layer in outputs.layers.items()}
    return Outputs(gather(outputs.features), gather(outputs.logits), layers)


class _ReplicaKept(FunctionCtx):
    replica: Replica


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _ReplicaKept, rows: Tensor, replica: Replica) -> Tensor:
        ctx.replica = replica
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(replica.world)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)

    @staticmethod
    def backward(ctx: _ReplicaKept, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return ctx.replica.own(whole), None
