"""Losses and loss weights that several methods share."""

import math
from collections.abc import Callable
from typing import overload

import torch
from torch import Tensor, nn

from acclimate.errors import BadInput
from acclimate.types import Losses


def reverse_grad(x: Tensor, scale: float = 1.0) -> Tensor:
    r"""Identity forward; multiplies the gradient by ``−scale`` backward (the GRL of DANN).

    Args:
        x: A tensor of any shape.
        scale: :math:`\lambda`, the factor of the reversed gradient.

    Reference:
        Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016. arXiv:1505.07818

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> reverse_grad(x, 0.5).sum().backward()
        >>> x.grad
        tensor([-0.5000, -0.5000])
    """
    y = x.view_as(x)
    if y.requires_grad:  # a hook costs a fifth of an autograd.Function that torch.func supports
        register: Callable[[Callable[[Tensor], Tensor]], object] = y.register_hook  # torch gives it no types
        register(lambda grad: -scale * grad)
    return y


@overload
def ramp_up(progress: float, gamma: float = 10.0) -> float: ...
@overload
def ramp_up(progress: Tensor, gamma: float = 10.0) -> Tensor: ...
def ramp_up(progress: float | Tensor, gamma: float = 10.0) -> float | Tensor:
    r"""The weight of an adversarial or pairing loss over training, :math:`2 / (1 + e^{-\gamma p}) - 1`: 0 to nearly 1.

    It starts at 0, since features and predictions carry no information yet.

    Args:
        progress: :math:`p` in [0, 1]; a scalar tensor where several trainings are one.
        gamma: How fast the weight rises; 10 in the paper.

    Reference:
        Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016. arXiv:1505.07818

    Example:
        >>> round(ramp_up(0.1), 4)
        0.4621
    """
    x = -gamma * progress
    return 2 / (1 + (x.exp() if isinstance(x, Tensor) else math.exp(x))) - 1


def certainty(logits: Tensor) -> Tensor:
    r"""Weights ``(n,)`` that favour confident examples, from their logits ``(n, k)``.

    .. math:: w_i = \frac{n \, (1 + e^{-H(p_i)})}{\sum_{i'} (1 + e^{-H(p_{i'})})}, \qquad p = \mathrm{softmax}(z)

    Their mean is 1, and they are detached from the gradient.

    Reference:
        Long et al., Conditional Adversarial Domain Adaptation, NeurIPS 2018. arXiv:1705.10667
    """
    log_p = logits.detach().log_softmax(1)
    weights = 1 + (log_p.exp() * log_p).sum(1).exp()
    return weights / weights.mean()


def label_loss(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Losses:
    r"""The supervised loss by name: cross-entropy for classes, squared error for numbers.

    .. math::
        \texttt{class} = -\frac{1}{n} \sum_i \log \mathrm{softmax}(z_i)_{y_i} \qquad
        \texttt{squared error} = \frac{1}{n} \sum_i (z_i - y_i)^2

    Args:
        logits: :math:`z`, ``(n, k)`` for classes, ``(n, 1)`` for numbers.
        labels: :math:`y`, ``(n,)``: classes if integers, numbers if floating-point.
        label_smoothing: Fraction of a class's weight spread over all classes.

    Raises:
        BadInput: The labels are numbers and ``label_smoothing`` is set.

    Example:
        >>> label_loss(torch.tensor([[1.0], [4.0]]), torch.tensor([1.0, 2.0]))
        {'squared error': tensor(2.)}
    """
    if not labels.is_floating_point():
        return {"class": nn.functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)}
    if label_smoothing:
        raise BadInput("label_smoothing: applies to classes only, and these labels are numbers; remove it")
    return {"squared error": nn.functional.mse_loss(logits.squeeze(1), labels)}


def domain_loss(logits: Tensor, n_source: int, weights: Tensor | None = None) -> Tensor:
    r"""Cross-entropy of a domain discriminator, both domains weighted equally: a scalar.

    .. math::
        \frac{1}{n_s} \sum_i w_i \, \mathrm{BCE}(z_i, 1) + \frac{1}{n_t} \sum_j w_j \, \mathrm{BCE}(z_j, 0)

    Args:
        logits: :math:`z`, ``(n_s + n_t, 1)``, source first.
        n_source: :math:`n_s`.
        weights: :math:`w`, ``(n_s + n_t, 1)``; 1 by default.

    Example:
        >>> domain_loss(torch.zeros(3, 1), 1)  # 2 log 2
        tensor(1.3863)
    """
    is_source = torch.zeros_like(logits)
    is_source[:n_source] = 1
    share = torch.full_like(logits, 1 / (len(logits) - n_source))
    share[:n_source] = 1 / n_source
    weighted = share if weights is None else share * weights
    return nn.functional.binary_cross_entropy_with_logits(logits, is_source, weighted, reduction="sum")


def aligned(p_target: Tensor, p_source: Tensor) -> Tensor:
    r"""Reweight the target's probabilities ``(n_t, k)`` to the class proportions of ``p_source (n_s, k)``.

    .. math:: \tilde p_j \propto p_j \, \bar p_s / \bar p_t

    Reference:
        Distribution alignment: Berthelot et al., ReMixMatch, ICLR 2020. arXiv:1911.09785
    """
    p = p_target * (p_source.mean(0) / p_target.mean(0).clamp(min=1e-6))
    return p / p.sum(1, keepdim=True)


@overload
def warm_up(progress: float) -> float: ...
@overload
def warm_up(progress: Tensor) -> Tensor: ...
def warm_up(progress: float | Tensor) -> float | Tensor:
    """From 0 to 1 in the first half of training, along half a cosine.

    Reference:
        Berthelot et al., AdaMatch, ICLR 2022. arXiv:2106.04732
    """
    if isinstance(progress, Tensor):  # several trainings as one
        return (1 - (math.pi * (2 * progress).clamp(max=1.0)).cos()) / 2
    return (1 - math.cos(math.pi * min(1.0, 2 * progress))) / 2
