"""A backbone's parameters by layer, for fine-tuning strategies that treat each layer differently."""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from itertools import chain, zip_longest

from torch import nn

LOWEST = ("embed", "relative_attention_bias")
"""Parts of the names of parameters below a transformer's first layer."""
LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.(\d+)\.")
"""The name of a transformer's layer, with its number."""


def layer_groups(backbone: nn.Module) -> list[list[str]]:
    """Return the names of the parameters by layer, the layer nearest the input first; each parameter occurs once.

    A model that has a method ``layer_groups`` says them itself. Models of timm, and others with a ``group_matcher``,
    are split by it: stem, then each block. Encoders of
    transformers are split into embeddings, each layer, and the parameters after the layers; a `torch.nn.Sequential`
    into its children, with a normalisation as part of the layer before it; any other module is one layer. Two parallel
    networks are aligned at their tops: layers at the same distance from the head form one layer, and so train together.

    Example:
        >>> layer_groups(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1)))
        [['0.weight', '0.bias', '1.weight', '1.bias'], ['3.weight', '3.bias']]
    """
    if parallel := getattr(backbone, "parallel", ()):
        return _aligned([_prefixed(name, layer_groups(backbone.get_submodule(name))) for name in parallel])
    if callable(own := getattr(backbone, "layer_groups", None)):
        return list(own())
    if callable(matcher := getattr(backbone, "group_matcher", None)):
        from timm.models import group_parameters

        groups = group_parameters(backbone, matcher(coarse=False))
        return [list(groups[depth]) for depth in sorted(groups)]
    if hasattr(backbone, "base_model_prefix"):
        return _by(transformer_depth, backbone)
    return _of_sequence(backbone) if isinstance(backbone, nn.Sequential) else _by(lambda name: 0, backbone)


def transformer_depth(name: str) -> float:
    """Return a parameter's depth in a transformer: 0 for embeddings, 1 and up for layers, infinity after them.

    Example:
        >>> [transformer_depth(f"{name}.weight") for name in ("embeddings.word", "encoder.layer.4.output", "pooler")]
        [0.0, 5.0, inf]
    """
    if layer := LAYER.search(name):
        return 1.0 + int(layer[1])
    return 0.0 if any(part in name for part in LOWEST) else math.inf


def _prefixed(part: str, groups: list[list[str]]) -> list[list[str]]:
    return [[f"{part}.{name}" for name in group] for group in groups]


def _aligned(stacks: list[list[list[str]]]) -> list[list[str]]:
    """Align the layers of several stacks at their tops."""
    tops = zip_longest(*(reversed(stack) for stack in stacks), fillvalue=[])
    return [list(chain.from_iterable(layers)) for layers in tops][::-1]


def _by(depth: Callable[[str], float], module: nn.Module) -> list[list[str]]:
    groups: defaultdict[float, list[str]] = defaultdict(list)
    for name, _ in module.named_parameters():
        groups[depth(name)].append(name)
    return [groups[d] for d in sorted(groups)]


def _of_sequence(sequence: nn.Sequential) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    current = ""
    for name, _ in sequence.named_parameters():
        child = name.partition(".")[0]
        is_norm = all(p.ndim < 2 for p in sequence.get_submodule(child).parameters())
        current = current if is_norm and current else child
        groups.setdefault(current, []).append(name)
    return list(groups.values())
