"""Normalisation: of pixels, and batch norm that keeps the domains apart."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

DomainName = str
"""``"source"`` or ``"target"``: whose statistics batch norm uses."""


class Normalize(nn.Module):
    """``(x − mean) / std`` per channel, of uint8 or float images ``(n, c, h, w)``; grey becomes ``c = len(mean)``.

    It is part of the model, so that whoever has the weights has the normalisation, and uint8 is what travels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: list[float], std: list[float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised float images, in the memory layout they came in."""
        return (x.to(self.mean.dtype) - self.mean).div_(self.std)


class StandardizeImages(nn.Module):
    """Each channel of each image ``(n, c, h, w)`` to mean 0 and variance 1: brightness and contrast are no shift.

    Reference:
        Instance-normalised inputs after Shu et al., A DIRT-T Approach to Unsupervised Domain Adaptation, ICLR 2018.
        arXiv:1802.08735
    """

    def forward(self, x: Tensor) -> Tensor:
        """Float images; one of a single colour becomes zeros."""
        return nn.functional.instance_norm(x.float(), eps=1.0)


class DomainNorm(nn.Module):
    """Batch norm that keeps running statistics for each domain.

    In training a batch is normalised by its own statistics, as ever; in evaluation by those of its domain.

    Args:
        norm: The batch norm it takes the place of, whose statistics both domains start from.
        shared: Whether both domains share the affine parameters; if not this is domain-specific batch norm.

    Reference:
        Chang et al., Domain-Specific Batch Normalization for Unsupervised Domain Adaptation, CVPR 2019.
        arXiv:1906.03950
    """

    def __init__(self, norm: _BatchNorm, *, shared: bool):
        super().__init__()
        self.eps, self.momentum, self.shared = norm.eps, norm.momentum, shared
        self.domain: DomainName = "target"
        domains = ["both"] if shared else ["source", "target"]
        for name in domains if norm.affine else []:
            self.register_parameter(f"weight_{name}", nn.Parameter(norm.weight.detach().clone()))
            self.register_parameter(f"bias_{name}", nn.Parameter(norm.bias.detach().clone()))
        for name in "source", "target":
            mean = torch.zeros(norm.num_features) if norm.running_mean is None else norm.running_mean
            var = torch.ones(norm.num_features) if norm.running_var is None else norm.running_var
            self.register_buffer(f"mean_{name}", mean.detach().clone())
            self.register_buffer(f"var_{name}", var.detach().clone())
        # timm's batch norms carry the activation behind them
        self.behind = nn.Sequential(*[m for n in ("drop", "act") if isinstance(m := getattr(norm, n, None), nn.Module)])

    def forward(self, x: Tensor) -> Tensor:
        """Normalised ``x (n, d, …)``."""
        which = "both" if self.shared else self.domain
        weight, bias = getattr(self, f"weight_{which}", None), getattr(self, f"bias_{which}", None)
        mean, var = getattr(self, f"mean_{self.domain}"), getattr(self, f"var_{self.domain}")
        momentum = 0.1 if self.momentum is None else self.momentum
        y = nn.functional.batch_norm(x, mean, var, weight, bias, self.training, momentum, self.eps)
        behind: Tensor = self.behind(y)
        return behind


@contextmanager
def keeping_statistics(model: nn.Module) -> Iterator[None]:
    """Leave batch norm's running statistics alone while it is open, though batches go by their own.

    They are of what a model is asked about later, so views that it learns from must not be among them.
    """
    norms = [m for m in model.modules() if isinstance(m, (_BatchNorm, DomainNorm))]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
