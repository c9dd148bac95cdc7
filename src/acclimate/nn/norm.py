"""Normalisation of pixels, and batch norm with statistics for each domain."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

DomainName = str
"""``"source"`` or ``"target"``: the domain whose statistics batch norm uses."""


class Normalize(nn.Module):
    """``(x − mean) / std`` per channel of uint8 or float images ``(n, c, h, w)``; grey becomes ``c = len(mean)``.

    It is part of the model: the weights include the normalisation, and loaders deliver uint8.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: list[float], std: list[float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised float images in the memory layout of ``x``."""
        return (x.to(self.mean.dtype) - self.mean).div_(self.std)


class StandardizeImages(nn.Module):
    """Each channel of each image ``(n, c, h, w)`` to mean 0 and variance 1: removes shifts in brightness and contrast.

    Reference:
        Instance-normalised inputs after Shu et al., A DIRT-T Approach to Unsupervised Domain Adaptation, ICLR 2018.
        arXiv:1802.08735
    """

    def forward(self, x: Tensor) -> Tensor:
        """Float images; an image of a single colour becomes zeros."""
        return nn.functional.instance_norm(x.float(), eps=1.0)


class DomainNorm(nn.Module):
    """Batch norm that keeps running statistics for each domain.

    In training it normalises a batch by the batch's own statistics, as usual; in evaluation by those of its domain.

    Args:
        norm: The batch norm to replace; both domains start from its statistics.
        shared: Whether both domains share the affine parameters; if not, this is domain-specific batch norm.

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
        # timm's batch norms include the activation that follows them
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
    """Stop updates of batch norm's running statistics while open; batches still use their own statistics.

    Running statistics must describe the inputs that the model predicts for later, so augmented views must not enter.
    """
    norms = [m for m in model.modules() if isinstance(m, (_BatchNorm, DomainNorm))]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
