"""Low-rank adapters."""

from typing import Any

from torch import nn

from acclimate.errors import BadInput
from acclimate.finetune.base import FROZEN, Pace
from acclimate.types import Count


def paces(n_layers: int, *, rank: Count = 8, alpha: int = 16) -> list[Pace]:
    r"""The backbone is frozen and each of its weights gets a trainable low-rank update, merged after training.

    .. math:: W' = W + \frac{\alpha}{r} B A, \qquad B \in \mathbb{R}^{m \times r}, \; A \in \mathbb{R}^{r \times n}

    Few parameters train, at the head's rate. Dense layers and ungrouped convolutions get adapters; the result is an
    ordinary model.

    When to use:
        On a large pretrained backbone, if memory or labels are too few for ``full``.

    Args:
        n_layers: Layers of the model; the last is the head.
        rank: :math:`r`.
        alpha: :math:`\alpha`.

    Raises:
        BadInput: ``rank`` is less than 1.

    Reference:
        Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022. arXiv:2106.09685
    """
    if rank < 1:
        raise BadInput(f"finetune.rank={rank}: too small for a low-rank update; use 1 or more")
    return [FROZEN] * (n_layers - 1) + [Pace()]


def prepare(backbone: nn.Module, *, rank: Count = 8, alpha: int = 16) -> None:
    """Insert adapters into ``backbone`` and freeze its own weights.

    Raises:
        BadInput: peft is not installed, or no layer of the backbone supports an adapter.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise BadInput("--finetune lora: peft is not installed; run `pip install acclimate[lora]`") from None
    names = [name for name, part in backbone.named_modules() if name and _supports_adapter(part)]
    if not names:
        raise BadInput(
            "--finetune lora: no layer of this backbone supports an adapter; choose another --finetune strategy"
        )
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=names), backbone)


def merge(backbone: nn.Module) -> None:
    """Add the adapters' updates to the backbone's own weights and remove the adapters."""
    for name, part in list(backbone.named_modules()):
        if hasattr(part, "base_layer"):
            adapted: Any = part
            adapted.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(backbone.get_submodule(parent), leaf, adapted.get_base_layer())


def _supports_adapter(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.groups == 1)
