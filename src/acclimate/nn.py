"""Small parts that several methods and backbones share."""

import copy
import math
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import scipy.sparse
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from acclimate.errors import BadInput
from acclimate.types import Losses, Outputs

Domain = str
"""``"source"`` or ``"target"``: whose statistics batch norm uses."""


def reverse_grad(x: Tensor, scale: float = 1.0) -> Tensor:
    r"""Identity forward; multiplies the gradient by ``−scale`` backward (the GRL of DANN).

    Args:
        x: Any tensor.
        scale: :math:`\lambda`, what the reversed gradient is multiplied with.

    Reference:
        Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016. arXiv:1505.07818

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> reverse_grad(x, 0.5).sum().backward()
        >>> x.grad
        tensor([-0.5000, -0.5000])
    """
    y = x.view_as(x)
    if y.requires_grad:  # a hook costs a fifth of what an autograd.Function does that torch.func can look through
        listen: Any = y.register_hook  # torch gives it no types
        listen(lambda grad: -scale * grad)
    return y


def opening(progress: float, gamma: float = 10.0) -> float:
    r"""How far an adversarial or pairing loss has opened, :math:`2 / (1 + e^{-\gamma p}) - 1`: from 0 to nearly 1.

    Early on what it builds upon knows nothing yet.

    Args:
        progress: :math:`p` in [0, 1].
        gamma: How fast it opens; 10 in the paper.

    Reference:
        Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016. arXiv:1505.07818

    Example:
        >>> round(opening(0.1), 4)
        0.4621
    """
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def certainty(logits: Tensor) -> Tensor:
    r"""How much each example should count if the sure ones count most, ``(n,)``, of logits ``(n, k)``.

    .. math:: w_i = \frac{n \, (1 + e^{-H(p_i)})}{\sum_{i'} (1 + e^{-H(p_{i'})})}, \qquad p = \mathrm{softmax}(z)

    Their mean is 1, and they are constants to the gradient.

    Reference:
        Long et al., Conditional Adversarial Domain Adaptation, NeurIPS 2018. arXiv:1705.10667
    """
    log_p = logits.detach().log_softmax(1)
    weights = 1 + (log_p.exp() * log_p).sum(1).exp()
    return weights / weights.mean()


def label_loss(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Losses:
    r"""The loss of the examples whose labels are known, under its name: of classes, or of numbers.

    .. math::
        \texttt{class} = -\frac{1}{n} \sum_i \log \mathrm{softmax}(z_i)_{y_i} \qquad
        \texttt{squared error} = \frac{1}{n} \sum_i (z_i - y_i)^2

    Args:
        logits: :math:`z`, ``(n, k)`` for classes, ``(n, 1)`` for numbers.
        labels: :math:`y`, ``(n,)``: classes if they are whole, numbers if they are floating.
        label_smoothing: Share of a class's weight spread over all classes.

    Raises:
        BadInput: Numbers are to be smoothed.

    Example:
        >>> label_loss(torch.tensor([[1.0], [4.0]]), torch.tensor([1.0, 2.0]))
        {'squared error': tensor(2.)}
    """
    if not labels.is_floating_point():
        return {"class": nn.functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)}
    if label_smoothing:
        raise BadInput("label_smoothing is for classes, and these labels are numbers; leave it out")
    return {"squared error": nn.functional.mse_loss(logits.squeeze(1), labels)}


def domain_loss(logits: Tensor, n_source: int, weights: Tensor | None = None) -> Tensor:
    r"""How badly a discriminator tells the domains apart, each domain counting the same: a scalar.

    .. math::
        \frac{1}{n_s} \sum_i w_i \, \mathrm{BCE}(z_i, 1) + \frac{1}{n_t} \sum_j w_j \, \mathrm{BCE}(z_j, 0)

    Args:
        logits: :math:`z`, ``(n_s + n_t, 1)``, those of the source first.
        n_source: :math:`n_s`.
        weights: :math:`w`, ``(n_s + n_t, 1)``; 1 if there are none.

    Example:
        >>> domain_loss(torch.zeros(3, 1), 1)  # 2 log 2
        tensor(1.3863)
    """
    truth = torch.zeros_like(logits)
    truth[:n_source] = 1
    share = torch.full_like(logits, 1 / (len(logits) - n_source))
    share[:n_source] = 1 / n_source
    weighted = share if weights is None else share * weights
    return nn.functional.binary_cross_entropy_with_logits(logits, truth, weighted, reduction="sum")


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


class _SparseAffine(torch.autograd.Function):
    """Compressed rows times a dense matrix, plus a bias, on the CPU: a sum of the rows that the non-zeros pick.

    Backward it is the same sum over SciPy's transpose, so that no gradient is scattered.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.rows = rows
        return _weighted_bags(rows.crow_indices(), rows.col_indices(), rows.values(), weight).add_(bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor]:
        rows = ctx.rows
        parts = rows.values().numpy(), rows.col_indices().numpy(), rows.crow_indices().numpy()
        columns = scipy.sparse.csr_array(parts, shape=tuple(rows.shape)).tocsc()
        crow, col, values = (torch.from_numpy(part) for part in (columns.indptr, columns.indices, columns.data))
        return None, _weighted_bags(crow, col, values, grads[0].contiguous()), grads[0].sum(0)


def _weighted_bags(crow: Tensor, col: Tensor, values: Tensor, matrix: Tensor) -> Tensor:
    return nn.functional.embedding_bag(
        col, matrix, crow, mode="sum", per_sample_weights=values, include_last_offset=True
    )


class SparseLinear(nn.Module):
    """A linear layer for rows that are mostly zero: ``x W + b`` with ``x (n, d_in)`` in torch's CSR layout or dense.

    ``weight`` is ``(d_in, d_out)``, the transpose of `torch.nn.Linear`'s, so that a row's non-zeros pick whole rows.
    """

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.empty(n_out))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as `torch.nn.Linear` does."""
        bound = self.weight.shape[0] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, d_out)``, dense."""
        on_cpu = x.layout == torch.sparse_csr and x.device.type == "cpu" and x.dtype == self.weight.dtype
        if not on_cpu:
            return x @ self.weight + self.bias
        product: Tensor = _SparseAffine.apply(x, self.weight, self.bias)
        return product


def csr_rows(crow: Tensor, col: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """Compressed rows as a tensor; trusts that the parts fit together."""
    _hear_the_beta_warning_out()
    shape = (len(crow) - 1, n_columns)
    return torch.sparse_csr_tensor(crow, col, values, shape, check_invariants=False)


@cache
def _hear_the_beta_warning_out() -> None:
    """Torch warns once in a process that its CSR layout may change; nothing a person who adapts can act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1))


def join(a: Tensor, b: Tensor) -> Tensor:
    """The rows of both, one under the other; dense or CSR. Halves of one tensor are not copied."""
    if a.layout != torch.sparse_csr:
        return whole if (whole := _whole_of(a, b)) is not None else torch.cat([a, b])
    crow = torch.cat([a.crow_indices(), b.crow_indices()[1:] + a.crow_indices()[-1]])
    col, values = torch.cat([a.col_indices(), b.col_indices()]), torch.cat([a.values(), b.values()])
    return csr_rows(crow, col, values, a.shape[1])


def _whole_of(a: Tensor, b: Tensor) -> Tensor | None:
    """What ``a`` is the first and ``b`` the second half of, if there is such a thing."""
    whole = None if torch.compiler.is_compiling() else a._base
    if whole is None or whole is not b._base or whole.shape != (len(a) + len(b), *a.shape[1:]):
        return None
    follows = b.storage_offset() - a.storage_offset() == a.numel()
    return whole if follows and whole.is_contiguous() else None


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
        self.domain: Domain = "target"
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
        self.layers: tuple[str, ...] = ()
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

    def forward(self, inputs: Tensor, domain: Domain = "target") -> Outputs:
        """Outputs of a batch of one domain."""
        return self.of_normalized(self.normalize(inputs), domain)

    def of_normalized(self, x: Tensor, domain: Domain = "target") -> Outputs:
        """Outputs of inputs that `normalize` has been through, for who changes them where their scale is known."""
        for module in () if self.one_pass else self.modules():
            if isinstance(module, DomainNorm):
                module.domain = domain
        with _tap(self.backbone, self.layers) as layers:
            features = self.backbone(x)
        return Outputs(features, self.head(features), layers)

    def both(self, source: Tensor, target: Tensor) -> tuple[Outputs, Outputs]:
        """Outputs of both domains, in one pass where that gives the same or is asked for."""
        if not self.one_pass:
            return self(source, "source"), self(target, "target")
        out, sizes = self(join(source, target)), [len(source), len(target)]
        features, logits = out.features.split(sizes), out.logits.split(sizes)
        layers = {name: layer.split(sizes) for name, layer in out.layers.items()}
        here, there = (
            Outputs(features[i], logits[i], {name: layer[i] for name, layer in layers.items()}) for i in (0, 1)
        )
        return here, there

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
def _tap(module: nn.Module, names: tuple[str, ...]) -> Iterator[dict[str, Tensor]]:
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
