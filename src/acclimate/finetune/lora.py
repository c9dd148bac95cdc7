"""Low-rank adapters."""

from typing import Any

from torch import nn

from acclimate.errors import BadInput
from acclimate.finetune.base import FROZEN, Pace
from acclimate.types import Count


def paces(n_layers: int, *, rank: Count = 8, alpha: int = 16) -> list[Pace]:
    r"""The backbone stands still and learns beside itself: each weight gets a low-rank sum, merged when all is done.

    .. math:: W' = W + \frac{\alpha}{r} B A, \qquad B \in \mathbb{R}^{m \times r}, \; A \in \mathbb{R}^{r \times n}

    Few parameters move, at the head's rate. Dense layers get adapters, and convolutions that are not
    done channel by channel; what comes out is a model like any other.

    Args:
        n_layers: Layers of the model, the head's being the last.
        rank: :math:`r`.
        alpha: :math:`\alpha`.

    Raises:
        BadInput: The rank is less than one.

    Reference:
        Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022. arXiv:2106.09685
    """
    if rank < 1:
        raise BadInput(f"finetune.rank={rank}: of the sums that are learnt; give 1 or more")
    return [FROZEN] * (n_layers - 1) + [Pace()]


def prepare(backbone: nn.Module, *, rank: Count = 8, alpha: int = 16) -> None:
    """Put adapters into ``backbone``, whose own weights stand still from now on.

    Raises:
        BadInput: peft is not installed, or the backbone has no layer that takes an adapter.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise BadInput("--finetune lora: needs peft; install it with `pip install acclimate[lora]`") from None
    names = [name for name, part in backbone.named_modules() if name and _takes_adapter(part)]
    if not names:
        raise BadInput("--finetune lora: this backbone has no layer that takes an adapter; choose another rung")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=names), backbone)


def merge(backbone: nn.Module) -> None:
    """Add what was learnt to the backbone's own weights, and take the adapters out."""
    for name, part in list(backbone.named_modules()):
        if hasattr(part, "base_layer"):
            adapted: Any = part
            adapted.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(backbone.get_submodule(parent), leaf, adapted.get_base_layer())


def _takes_adapter(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.groups == 1)
