"""The model that methods train: a backbone and a head."""

import copy
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.nn.norm import Domain, DomainNorm
from acclimate.nn.sparse import join
from acclimate.types import Outputs


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths with ReLU between: ``mlp(256, 1024, 1)``."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def projector(*widths: int, norm: Literal["batch", "layer"] = "batch") -> nn.Sequential:
    """Linear layers of the given widths with a norm and ReLU between: what a self-supervised loss looks at.

    Args:
        widths: Of the input, the hidden layers and the output: ``projector(512, 4096, 256)``.
        norm: Over the batch, or over each example's own units, which a small batch does not disturb.
    """
    kind = nn.BatchNorm1d if norm == "batch" else nn.LayerNorm
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), kind(n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-2])


def fresh_copy(module: nn.Module) -> nn.Module:
    """The same architecture with weights drawn anew, e.g. a second head."""
    twin = copy.deepcopy(module)
    for part in twin.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
    return twin


def size_buffers_as_loaded(module: nn.Module) -> None:
    """Have a module's own buffers take the sizes of those that are loaded, where the data decide them."""
    register: Any = module.register_load_state_dict_pre_hook  # torch gives it no types
    register(_make_room)


def _make_room(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, buffer in module.named_buffers(recurse=False):
        if prefix + name in state:
            setattr(module, name, buffer.new_empty(state[prefix + name].shape))


class Bottlenecked(nn.Module):
    """A backbone with a narrow layer behind it: what can still be moved where the backbone itself is frozen.

    Args:
        net: Inputs to ``(n, d)``.
        d: What it gives.
        width: Features that come out.

    Reference:
        Dense layer, batch norm and ReLU as in Liang et al., Do We Really Need to Access the Source Data?, ICML 2020.
        arXiv:2002.08546
    """

    def __init__(self, net: nn.Module, d: int, width: int):
        super().__init__()
        self.net = net
        self.bottleneck = nn.Sequential(nn.Linear(d, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(n, width)``."""
        narrow: Tensor = self.bottleneck(self.net(x))
        return narrow


class Classifier(nn.Module):
    """A backbone and a head: inputs → features ``(n, d)`` → logits ``(n, k)``, or one number ``(n, 1)``.

    Args:
        backbone: Inputs to features ``(n, n_features)``.
        head: Features to logits ``(n, n_classes)``.
        n_features: ``d``.
        n_classes: ``k``.
        normalize: What stands before the backbone.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        n_features: int,
        n_classes: int,
        normalize: nn.Module | None = None,
    ):
        super().__init__()
        self.normalize = normalize or nn.Identity()
        self.backbone, self.head = backbone, head
        self.n_features, self.n_classes = n_features, n_classes
        self.one_pass = True
        self.resting: frozenset[str] = frozenset()
        self.norms_rest = False

    @property
    def net(self) -> tuple[str, nn.Module]:
        """The backbone without a bottleneck that stands behind it, and what its parameters' names begin with."""
        return ("net.", self.backbone.net) if isinstance(self.backbone, Bottlenecked) else ("", self.backbone)

    def narrowed(self, width: int) -> "Classifier":
        """The same backbone with a bottleneck of ``width`` features behind it, and a fresh linear head."""
        backbone = Bottlenecked(self.backbone, self.n_features, width)
        head = nn.Linear(width, self.n_classes)
        return Classifier(backbone, head, n_features=width, n_classes=self.n_classes, normalize=self.normalize)

    def on_features(self) -> "Classifier":
        """What stands above the backbone, as a classifier of what the backbone gives; it shares its parameters."""
        above: nn.Module = nn.Identity()
        if isinstance(self.backbone, Bottlenecked):
            above = copy.copy(self.backbone)
            above._modules = {**self.backbone._modules, "net": nn.Identity()}
        model = Classifier(above, self.head, n_features=self.n_features, n_classes=self.n_classes)
        model.one_pass = not any(isinstance(m, DomainNorm) for m in model.modules())
        return model.train(self.training)

    def rest(self, names: Iterable[str]) -> None:
        """Have parameters of the backbone stand still, by their names; all others of the backbone move.

        Of a part none of whose parameters moves, batch norm and dropout stand still too.
        """
        self.resting = frozenset(names)
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name not in self.resting)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Classifier":
        """Train, but for what rests."""
        super().train(mode)
        for norm in self._own_norms() if self.norms_rest else []:
            norm.eval()
        if mode and self.resting:
            _settle(self.backbone, self.resting, "")
        return self

    def freeze_batch_norm(self) -> None:
        """Have every batch norm of the backbone keep its statistics and go by them; its scales and shifts still move.

        A batch's own statistics are those of few examples, and all layers above have to learn to live with them.
        """
        self.norms_rest = True
        self.train(self.training)

    def _own_norms(self) -> list[_BatchNorm]:
        """Those of the backbone, without the ones of a bottleneck behind it."""
        return [m for m in self.net[1].modules() if isinstance(m, _BatchNorm)]

    def forward(self, inputs: Tensor, domain: Domain = "target", *, layers: Sequence[str] = ()) -> Outputs:
        """Outputs of a batch of one domain, with those of the named ``layers`` of the backbone."""
        return self.of_normalized(self.normalize(inputs), domain, layers=layers)

    def of_normalized(self, x: Tensor, domain: Domain = "target", *, layers: Sequence[str] = ()) -> Outputs:
        """Outputs of inputs that `normalize` has been through, for who changes them where their scale is known."""
        for module in () if self.one_pass else self.modules():
            if isinstance(module, DomainNorm):
                module.domain = domain
        with _tap(self.backbone, layers) as tapped:
            features = self.backbone(x)
        return Outputs(features, self.head(features), tapped)

    def both(self, source: Tensor, target: Tensor, *, layers: Sequence[str] = ()) -> tuple[Outputs, Outputs]:
        """Outputs of both domains, in one pass where that gives the same or is asked for."""
        if not self.one_pass:
            return self(source, "source", layers=layers), self(target, "target", layers=layers)
        out, sizes = self(join(source, target), layers=layers), [len(source), len(target)]
        features, logits = out.features.split(sizes), out.logits.split(sizes)
        tapped = {name: layer.split(sizes) for name, layer in out.layers.items()}
        out_source, out_target = (
            Outputs(features[i], logits[i], {name: layer[i] for name, layer in tapped.items()}) for i in (0, 1)
        )
        return out_source, out_target

    def separate_batch_norm(self, *, shared: bool, but: Collection[str] = ()) -> None:
        """Give every batch norm that does not rest statistics for each domain; in place, before the optimizer is made.

        Args:
            shared: Whether both domains share the affine parameters.
            but: Parameters of the backbone, by name; a batch norm that has one of them stays as it is.
        """
        kept = {f"backbone.{name.rpartition('.')[0]}" for name in but}
        resting = self._own_norms() if self.norms_rest else []
        norms = [
            (n, m)
            for n, m in self.named_modules()
            if isinstance(m, _BatchNorm) and n not in kept and not any(m is norm for norm in resting)
        ]
        for name, norm in norms:
            parent, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(parent), leaf, DomainNorm(norm, shared=shared))
        self.one_pass = not norms


def _settle(module: nn.Module, resting: Collection[str], prefix: str) -> None:
    """Bring the parts all of whose parameters rest into evaluation mode."""
    own = [prefix + name for name, _ in module.named_parameters()]
    if own and all(name in resting for name in own):
        module.eval()
        return
    for name, part in module.named_children():
        _settle(part, resting, f"{prefix}{name}.")


@contextmanager
def _tap(module: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the named sub-modules while it is open, maps and tokens pooled to ``(n, d)``."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda _module, _inputs, output: seen.__setitem__(name, _pool(output))

    hooks = [module.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _pool(x: Tensor) -> Tensor:
    if x.ndim == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.ndim == 3 else x
