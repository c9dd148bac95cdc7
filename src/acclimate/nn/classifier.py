"""The model that methods train: a backbone and a head."""

import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.nn.norm import DomainName, DomainNorm
from acclimate.nn.sparse import join
from acclimate.types import Outputs


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths with ReLU in between: ``mlp(256, 1024, 1)``."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def projector(*widths: int, norm: Literal["batch", "layer"] = "batch") -> nn.Sequential:
    """Linear layers of the given widths with a norm and ReLU in between: the projection head of a self-supervised loss.

    Args:
        widths: Widths of the input, the hidden layers and the output: ``projector(512, 4096, 256)``.
        norm: Batch norm, or layer norm, which does not depend on the batch size.
    """
    kind = nn.BatchNorm1d if norm == "batch" else nn.LayerNorm
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), kind(n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-2])


def fresh_copy(module: nn.Module) -> nn.Module:
    """Return the same architecture with newly initialised weights, e.g. for a second head."""
    twin = copy.deepcopy(module)
    for part in twin.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
    return twin


def size_buffers_as_loaded(module: nn.Module) -> None:
    """Resize a module's own buffers to those of a loaded state dict, for buffers whose size depends on the data."""
    register: Callable[[Callable[..., None]], object] = (
        module.register_load_state_dict_pre_hook
    )  # torch gives it no types
    register(_resize_buffers)


def _resize_buffers(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *_: object) -> None:
    for name, buffer in module.named_buffers(recurse=False):
        if prefix + name in state:
            setattr(module, name, buffer.new_empty(state[prefix + name].shape))


class Bottlenecked(nn.Module):
    """A backbone followed by a narrow layer, which still learns if the backbone itself is frozen.

    Args:
        net: The backbone: inputs to features ``(n, d)``.
        d: Its features.
        width: Features of the narrow layer.

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
        features: Tensor = self.bottleneck(self.net(x))
        return features


class Classifier(nn.Module):
    """A backbone and a head: inputs → features ``(n, d)`` → logits ``(n, k)``, or one number ``(n, 1)``.

    Args:
        backbone: Inputs to features ``(n, n_features)``.
        head: Features to logits ``(n, n_classes)``.
        n_features: ``d``.
        n_classes: ``k``.
        normalize: Normalisation of the inputs, before the backbone.
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
        self.frozen: frozenset[str] = frozenset()
        self.batch_norm_frozen = False

    @property
    def net(self) -> tuple[str, nn.Module]:
        """The backbone without its bottleneck, and the prefix of its parameters' names."""
        return ("net.", self.backbone.net) if isinstance(self.backbone, Bottlenecked) else ("", self.backbone)

    def narrowed(self, width: int) -> "Classifier":
        """Return the same backbone with a bottleneck of ``width`` features and a fresh linear head."""
        backbone = Bottlenecked(self.backbone, self.n_features, width)
        head = nn.Linear(width, self.n_classes)
        return Classifier(backbone, head, n_features=width, n_classes=self.n_classes, normalize=self.normalize)

    def on_features(self) -> "Classifier":
        """Return the layers above the backbone as a classifier of the backbone's features; they share parameters."""
        above: nn.Module = nn.Identity()
        if isinstance(self.backbone, Bottlenecked):
            above = copy.copy(self.backbone)
            above._modules = {**self.backbone._modules, "net": nn.Identity()}
        model = Classifier(above, self.head, n_features=self.n_features, n_classes=self.n_classes)
        model.one_pass = not any(isinstance(m, DomainNorm) for m in model.modules())
        return model.train(self.training)

    def freeze(self, names: Iterable[str]) -> None:
        """Freeze the named parameters of the backbone and unfreeze all its others.

        A part whose parameters are all frozen also stays in evaluation mode: batch norm and dropout do not change.
        """
        self.frozen = frozenset(names)
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name not in self.frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Classifier":
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        for norm in self._own_norms() if self.batch_norm_frozen else []:
            norm.eval()
        if mode and self.frozen:
            _eval_frozen(self.backbone, self.frozen, "")
        return self

    def freeze_batch_norm(self) -> None:
        """Make every batch norm of the backbone use its running statistics and keep them; its affine parameters learn.

        A batch's own statistics come from few examples, and all layers above would have to adapt to them.
        """
        self.batch_norm_frozen = True
        self.train(self.training)

    def _own_norms(self) -> list[_BatchNorm]:
        """The batch norms of the backbone, without those of its bottleneck."""
        return [m for m in self.net[1].modules() if isinstance(m, _BatchNorm)]

    def forward(self, inputs: Tensor, domain: DomainName = "target", *, layers: Sequence[str] = ()) -> Outputs:
        """Outputs for a batch of one domain, with those of the named ``layers`` of the backbone."""
        return self.of_normalized(self.normalize(inputs), domain, layers=layers)

    def of_normalized(self, x: Tensor, domain: DomainName = "target", *, layers: Sequence[str] = ()) -> Outputs:
        """Outputs for inputs that are already normalised, for methods that perturb them on that scale."""
        for module in () if self.one_pass else self.modules():
            if isinstance(module, DomainNorm):
                module.domain = domain
        with _tap(self.backbone, layers) as tapped:
            features = self.backbone(x)
        return Outputs(features, self.head(features), tapped)

    def both(self, source: Tensor, target: Tensor, *, layers: Sequence[str] = ()) -> tuple[Outputs, Outputs]:
        """Outputs for both domains: in one pass, unless batch norm keeps statistics for each domain."""
        if not self.one_pass:
            return self(source, "source", layers=layers), self(target, "target", layers=layers)
        out, sizes = self(join(source, target), layers=layers), [len(source), len(target)]
        features, logits = out.features.split(sizes), out.logits.split(sizes)
        tapped = {name: layer.split(sizes) for name, layer in out.layers.items()}
        of_source, of_target = (
            Outputs(features[i], logits[i], {name: layer[i] for name, layer in tapped.items()}) for i in (0, 1)
        )
        return of_source, of_target

    def separate_batch_norm(self, *, shared: bool, exclude: Collection[str] = ()) -> None:
        """Give every batch norm that is not frozen statistics for each domain; in place, before making the optimizer.

        Args:
            shared: Whether both domains share the affine parameters.
            exclude: Names of backbone parameters; a batch norm that has one of them stays as it is.
        """
        kept = {f"backbone.{name.rpartition('.')[0]}" for name in exclude}
        frozen = self._own_norms() if self.batch_norm_frozen else []
        norms = [
            (n, m)
            for n, m in self.named_modules()
            if isinstance(m, _BatchNorm) and n not in kept and not any(m is norm for norm in frozen)
        ]
        for name, norm in norms:
            parent, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(parent), leaf, DomainNorm(norm, shared=shared))
        self.one_pass = not norms


def _eval_frozen(module: nn.Module, frozen: Collection[str], prefix: str) -> None:
    """Set the parts whose parameters are all frozen to evaluation mode."""
    own = [prefix + name for name, _ in module.named_parameters()]
    if own and all(name in frozen for name in own):
        module.eval()
        return
    for name, part in module.named_children():
        _eval_frozen(part, frozen, f"{prefix}{name}.")


@contextmanager
def _tap(module: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the named sub-modules while open; maps and tokens are pooled to ``(n, d)``."""
    collected: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _module, _inputs, output: collected.__setitem__(name, _pool(output))

    hooks = [module.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield collected
    finally:
        for hook in hooks:
            hook.remove()


def _pool(x: Tensor) -> Tensor:
    if x.ndim == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.ndim == 3 else x
